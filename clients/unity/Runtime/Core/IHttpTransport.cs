using System;
using System.Threading;
using System.Threading.Tasks;

namespace Gamedojo
{
    /// <summary>An HTTP answer, whatever its status.</summary>
    public sealed class HttpAnswer
    {
        public HttpAnswer(int status, byte[] body, string retryAfter, string date = null)
        {
            Status = status;
            Body = body ?? new byte[0];
            RetryAfter = retryAfter;
            Date = date;
        }

        public int Status { get; }

        public byte[] Body { get; }

        /// <summary>The header Retry-After as it came; null without one.</summary>
        public string RetryAfter { get; }

        /// <summary>The header Date as it came, the server's own time; null without one.</summary>
        public string Date { get; }
    }

    /// <summary>Sends requests. One for System.Net.Http and one for UnityWebRequest come with this package.</summary>
    public interface IHttpTransport : IDisposable
    {
        /// <summary>Sends JSON and waits for the whole answer. Cancelling gives up the connection.</summary>
        /// <param name="apiKey">For the header x-api-key; null for none.</param>
        /// <exception cref="UnreachableException">No connection, or it broke.</exception>
        /// <exception cref="OperationCanceledException">Cancelled.</exception>
        Task<HttpAnswer> PostAsync(Uri url, string apiKey, byte[] json, CancellationToken cancellation);
    }
}
