using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;

namespace Gamedojo.Tests
{
    /// <summary>Time stands still until a test moves it on.</summary>
    sealed class ManualClock : IClock
    {
        sealed class Wait
        {
            public TimeSpan Until;
            public TaskCompletionSource<bool> Done = new TaskCompletionSource<bool>();
        }

        readonly List<Wait> _waits = new List<Wait>();

        public TimeSpan Now { get; private set; }

        /// <summary>Every wait that was asked for, in seconds.</summary>
        public List<double> Delays { get; } = new List<double>();

        public Task Delay(TimeSpan duration, CancellationToken cancellation)
        {
            Delays.Add(duration.TotalSeconds);
            var wait = new Wait { Until = Now + duration };
            _waits.Add(wait);
            cancellation.Register(() => wait.Done.TrySetCanceled(cancellation));
            return wait.Done.Task;
        }

        public void Advance(double seconds)
        {
            Now += TimeSpan.FromSeconds(seconds);
            foreach (Wait wait in _waits.FindAll(one => one.Until <= Now))
            {
                _waits.Remove(wait);
                wait.Done.TrySetResult(true);
            }
        }
    }

    /// <summary>Answers when and as a test says.</summary>
    sealed class ManualTransport : IHttpTransport
    {
        readonly List<TaskCompletionSource<HttpAnswer>> _pending = new List<TaskCompletionSource<HttpAnswer>>();

        public List<string> Bodies { get; } = new List<string>();

        public bool Disposed { get; private set; }

        public int Pending => _pending.Count;

        public TaskStatus StatusOf(int which) => _pending[which].Task.Status;

        public async Task<HttpAnswer> PostAsync(Uri url, string apiKey, byte[] json, CancellationToken cancellation)
        {
            var pending = new TaskCompletionSource<HttpAnswer>();
            Bodies.Add(System.Text.Encoding.UTF8.GetString(json));
            _pending.Add(pending);
            using (cancellation.Register(() => pending.TrySetCanceled(cancellation)))
            {
                return await pending.Task;
            }
        }

        public void Answer(int status, string body, string retryAfter = null, int which = 0, string date = null) =>
            Take(which).TrySetResult(new HttpAnswer(status, System.Text.Encoding.UTF8.GetBytes(body), retryAfter, date));

        /// <summary>One discrete choice for each agent.</summary>
        public void Act(int which, params int[] choices)
        {
            var actions = new List<string>();
            foreach (int choice in choices)
            {
                actions.Add("{\"continuous\":[],\"discrete\":[" + choice + "]}");
            }
            const string Head = "{\"policy\":\"basic\",\"version\":\"v1\",\"behavior\":\"Basic\",\"actions\":[";
            Answer(200, Head + string.Join(",", actions) + "]}", null, which);
        }

        /// <summary>One choice for each agent, and what is remembered of it.</summary>
        public void Remember(int which, params string[] states)
        {
            string actions = string.Join(",", states.Select(_ => "{\"continuous\":[],\"discrete\":[0]}"));
            string tokens = string.Join(",", states.Select(state => "\"" + state + "\""));
            const string Head = "{\"policy\":\"basic\",\"version\":\"v1\",\"behavior\":\"Basic\",\"actions\":[";
            Answer(200, Head + actions + "],\"state\":[" + tokens + "]}", null, which);
        }

        public void Break() => Take(0).TrySetException(new UnreachableException("broken"));

        public void Dispose() => Disposed = true;

        TaskCompletionSource<HttpAnswer> Take(int which)
        {
            TaskCompletionSource<HttpAnswer> taken = _pending[which];
            _pending.RemoveAt(which);
            return taken;
        }
    }
}
