using System;
using System.Collections.Generic;
using System.Threading;
using Unity.MLAgents;
using UnityEngine;

namespace Gamedojo.Tests
{
    /// <summary>
    /// The engine's main loop: frames of one physics step each, and what was awaited goes on between frames, in this thread.
    /// </summary>
    sealed class Frames : SynchronizationContext
    {
        const int MostFrames = 6000;
        const int FrameMilliseconds = 5;

        readonly Queue<Action> _posted = new Queue<Action>();
        readonly List<MonoBehaviour> _components;

        public Frames(params MonoBehaviour[] components)
        {
            _components = new List<MonoBehaviour>(components);
            SetSynchronizationContext(this);
        }

        public void Add(MonoBehaviour component) => _components.Insert(0, component);

        public override void Post(SendOrPostCallback callback, object state)
        {
            lock (_posted)
            {
                _posted.Enqueue(() => callback(state));
            }
        }

        /// <summary>Frames until something holds.</summary>
        public void Until(Func<bool> holds, string what)
        {
            for (int frame = 0; frame < MostFrames && !holds(); frame++)
            {
                One();
            }
            Check.That(holds(), what + " within " + MostFrames + " frames; told: " + string.Join(" | ", UnityEngine.Debug.Told));
        }

        /// <summary>In Unity's order: scripts before the Academy, the Academy, scripts of a late order.</summary>
        public void One()
        {
            foreach (MonoBehaviour component in _components)
            {
                if (component is Agent)
                {
                    Engine.Message(component, "FixedUpdate");
                }
            }
            Academy.Instance.EnvironmentStep();
            foreach (MonoBehaviour component in _components)
            {
                if (!(component is Agent))
                {
                    Engine.Message(component, "FixedUpdate");
                }
                Engine.Message(component, "Update");
            }
            AsyncOperation.Pump();
            RunPosted();
            Thread.Sleep(FrameMilliseconds);
        }

        void RunPosted()
        {
            while (true)
            {
                Action next;
                lock (_posted)
                {
                    if (_posted.Count == 0)
                    {
                        return;
                    }
                    next = _posted.Dequeue();
                }
                next();
            }
        }
    }
}
