using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;
using UnityEngine;

namespace Gamedojo.Unity
{
    /// <summary>
    /// The engine's real time, looked at once a frame: a browser has no timer threads, so that what waits is woken by
    /// <see cref="Tick"/>. For the main thread only.
    /// </summary>
    public sealed class UnityClock : IClock
    {
        sealed class Wait
        {
            public TimeSpan Until;
            public TaskCompletionSource<bool> Done;
            public CancellationTokenRegistration Cancelling;
        }

        readonly List<Wait> _waits = new List<Wait>();

        public TimeSpan Now => TimeSpan.FromSeconds(Time.realtimeSinceStartupAsDouble);

        public Task Delay(TimeSpan duration, CancellationToken cancellation)
        {
            if (cancellation.IsCancellationRequested)
            {
                return Task.FromCanceled(cancellation);
            }
            var wait = new Wait { Until = Now + duration, Done = new TaskCompletionSource<bool>() };
            wait.Cancelling = cancellation.Register(() =>
            {
                _waits.Remove(wait);
                wait.Done.TrySetCanceled(cancellation);
            });
            _waits.Add(wait);
            return wait.Done.Task;
        }

        /// <summary>Ends the waits whose time has come. Called once a frame.</summary>
        public void Tick()
        {
            TimeSpan now = Now;
            foreach (Wait wait in _waits.FindAll(one => one.Until <= now))
            {
                _waits.Remove(wait);
                wait.Cancelling.Dispose();
                wait.Done.TrySetResult(true);
            }
        }
    }
}
