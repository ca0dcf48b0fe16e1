using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Gamedojo.Unity;
using UnityEngine;

namespace Gamedojo.Tests
{
    /// <summary>The sample Line World, played frame by frame.</summary>
    sealed class Walk
    {
        readonly RemotePolicyBehaviour _policy;
        readonly LineWorld _world;
        readonly Frames _frames;
        readonly HashSet<Thread> _threads = new HashSet<Thread>();

        public Walk(string url, string key, string transport, float timeoutSeconds)
        {
            var scene = new GameObject("scene");
            scene.SetActive(false);
            _policy = scene.AddComponent<RemotePolicyBehaviour>();
            Engine.Set(_policy, "url", url);
            Engine.Set(_policy, "policy", "basic");
            Engine.Set(_policy, "apiKey", key);
            Engine.Set(_policy, "timeoutSeconds", timeoutSeconds);
            Engine.Set(_policy, "staleAfterSeconds", 20f);
            Engine.Set(_policy, "transport", Enum.Parse(typeof(Transport), transport));
            _world = scene.AddComponent<LineWorld>();
            _frames = new Frames(_policy);
            scene.SetActive(true);
            Engine.Message(_world, "Start");
            _policy.Batcher.Answered += _ => _threads.Add(Thread.CurrentThread);
            _policy.Batcher.Failed += _ => _threads.Add(Thread.CurrentThread);
            foreach (LineWalker walker in _world.Walkers)
            {
                _frames.Add(walker);
            }
        }

        public void ToTheGoal()
        {
            Check.That(_world.Walkers.All(walker => walker.Field == 10), "walkers begin on field 10");
            _frames.One();
            Check.That(_world.Walkers.All(walker => walker.ActsOnFallback), "a fallback comes before the first answer");
            _frames.Until(() => _world.Walkers.All(walker => walker.LargeGoals >= 2), "the large goal twice");
            Check.Equal(0, _world.Walkers.Sum(walker => walker.SmallGoals), "small goals");
            Check.That(!string.IsNullOrEmpty(_policy.Version), "the version that answered is known");
            End();
        }

        public void WithoutAnswers()
        {
            _frames.Until(() => UnityEngine.Debug.Told.Count > 0, "a warning");
            for (int frame = 0; frame < 20; frame++)
            {
                _frames.One();
            }
            Check.That(_world.Walkers.All(walker => walker.Field == 10 && walker.ActsOnFallback), "walkers stay");
            foreach (string told in UnityEngine.Debug.Told)
            {
                Console.WriteLine("told    " + told);
            }
            End();
        }

        void End()
        {
            Check.Same(new[] { Thread.CurrentThread }, _threads, "threads that the game's code ran in");
            Engine.Disable(_policy);
            Check.That(_policy.Policy == null && _policy.Batcher == null, "nothing is left");
            _frames.One();
        }
    }
}
