using System;
using System.Diagnostics;
using System.Threading;
using System.Threading.Tasks;

namespace Gamedojo
{
    /// <summary>Time, and waiting for it. A browser (WebGL) has no threads, so that Task.Delay never ends there.</summary>
    public interface IClock
    {
        /// <summary>Time since some moment; never goes back.</summary>
        TimeSpan Now { get; }

        /// <exception cref="OperationCanceledException">Cancelled.</exception>
        Task Delay(TimeSpan duration, CancellationToken cancellation);
    }

    /// <summary>The machine's time.</summary>
    public sealed class SystemClock : IClock
    {
        readonly Stopwatch _watch = Stopwatch.StartNew();

        public TimeSpan Now => _watch.Elapsed;

        public Task Delay(TimeSpan duration, CancellationToken cancellation) => Task.Delay(duration, cancellation);
    }
}
