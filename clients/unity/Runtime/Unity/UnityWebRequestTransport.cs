using System;
using System.Threading;
using System.Threading.Tasks;
using UnityEngine.Networking;

namespace Gamedojo.Unity
{
    /// <summary>
    /// UnityWebRequest: what works in a browser (WebGL), where the browser keeps the connections. For the main thread only.
    /// In a browser the API must allow the page's origin (CORS), and Retry-After is seen only if the API exposes it.
    /// </summary>
    public sealed class UnityWebRequestTransport : IHttpTransport
    {
        /// <inheritdoc/>
        public async Task<HttpAnswer> PostAsync(Uri url, string apiKey, byte[] json, CancellationToken cancellation)
        {
            cancellation.ThrowIfCancellationRequested();
            using (var request = new UnityWebRequest(url.AbsoluteUri, UnityWebRequest.kHttpVerbPOST))
            {
                request.uploadHandler = new UploadHandlerRaw(json);
                request.downloadHandler = new DownloadHandlerBuffer();
                request.redirectLimit = 0;
                request.SetRequestHeader("Content-Type", "application/json");
                if (!string.IsNullOrEmpty(apiKey))
                {
                    request.SetRequestHeader("x-api-key", apiKey);
                }
                var done = new TaskCompletionSource<bool>();
                request.SendWebRequest().completed += _ => done.TrySetResult(true);
                using (cancellation.Register(request.Abort))
                {
                    await done.Task;
                }
                cancellation.ThrowIfCancellationRequested();
                return Answer(request, url);
            }
        }

        /// <summary>Nothing is kept between requests.</summary>
        public void Dispose()
        {
        }

        static HttpAnswer Answer(UnityWebRequest request, Uri url)
        {
            bool whole = request.result == UnityWebRequest.Result.Success ||
                request.result == UnityWebRequest.Result.ProtocolError;
            if (!whole)
            {
                throw new UnreachableException(url.GetLeftPart(UriPartial.Authority) + " gave no answer: " + request.error);
            }
            return new HttpAnswer(
                (int)request.responseCode, request.downloadHandler.data,
                request.GetResponseHeader("Retry-After"), request.GetResponseHeader("Date"));
        }
    }
}
