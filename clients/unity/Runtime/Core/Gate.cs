using System;
using System.Threading;
using System.Threading.Tasks;

namespace Gamedojo
{
    /// <summary>Lets so many in at once. Of those that come while it is full, one may wait or none.</summary>
    internal sealed class Gate
    {
        readonly object _lock = new object();
        readonly int _limit;
        readonly WhenFull _whenFull;
        int _inside;
        TaskCompletionSource<bool> _waiting;

        public Gate(int limit, WhenFull whenFull)
        {
            _limit = limit;
            _whenFull = whenFull;
        }

        /// <summary>Every EnterAsync that succeeds is followed by one Leave.</summary>
        /// <exception cref="OverloadedException">Full; or a newer one waits instead.</exception>
        /// <exception cref="OperationCanceledException">Cancelled while waiting.</exception>
        public async Task EnterAsync(CancellationToken cancellation)
        {
            TaskCompletionSource<bool> superseded;
            TaskCompletionSource<bool> turn;
            lock (_lock)
            {
                if (_inside < _limit)
                {
                    _inside++;
                    return;
                }
                if (_whenFull == WhenFull.Refuse)
                {
                    throw new OverloadedException(
                        _inside + " requests are under way, and MaxInFlight allows no more; this one was not sent.");
                }
                superseded = _waiting;
                _waiting = turn = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
            }
            superseded?.TrySetException(
                new OverloadedException("A newer request took the place of this one; it was not sent."));
            using (cancellation.Register(() => GiveUp(turn, cancellation)))
            {
                await turn.Task;
            }
        }

        public void Leave()
        {
            bool passedOn = false;
            while (!passedOn)
            {
                TaskCompletionSource<bool> next;
                lock (_lock)
                {
                    next = _waiting;
                    _waiting = null;
                    if (next == null)
                    {
                        _inside--;
                        return;
                    }
                }
                passedOn = next.TrySetResult(true);  // false: it has just given up waiting
            }
        }

        void GiveUp(TaskCompletionSource<bool> turn, CancellationToken cancellation)
        {
            lock (_lock)
            {
                if (_waiting == turn)
                {
                    _waiting = null;
                }
            }
            turn.TrySetCanceled(cancellation);
        }
    }
}
