using System;
using System.IO;
using System.Net;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Threading;
using System.Threading.Tasks;

namespace Gamedojo
{
    /// <summary>
    /// System.Net.Http, with connections that are kept. For every platform but WebGL. Its own steps stay off the caller's
    /// thread, so that an answer costs a game's main thread one turn.
    /// </summary>
    public sealed class HttpClientTransport : IHttpTransport
    {
        static readonly MediaTypeHeaderValue Json = new MediaTypeHeaderValue("application/json");

        readonly HttpClient _client;

        /// <param name="url">The server that will be asked.</param>
        /// <param name="connections">How many connections are kept.</param>
        public HttpClientTransport(Uri url, int connections)
        {
            // On .NET Framework and Mono, the pool and the socket's options belong to the service point.
            ServicePoint server = ServicePointManager.FindServicePoint(url);
            server.ConnectionLimit = Math.Max(server.ConnectionLimit, connections);
            server.UseNagleAlgorithm = false;
            // No proxy reaches this machine's own loopback address.
            _client = new HttpClient(new HttpClientHandler { UseProxy = !url.IsLoopback, AllowAutoRedirect = false })
            {
                Timeout = Timeout.InfiniteTimeSpan,
            };
            // Without this, a body waits for a "100 Continue" that few servers send.
            _client.DefaultRequestHeaders.ExpectContinue = false;
        }

        /// <inheritdoc/>
        public async Task<HttpAnswer> PostAsync(Uri url, string apiKey, byte[] json, CancellationToken cancellation)
        {
            try
            {
                using (var request = new HttpRequestMessage(HttpMethod.Post, url))
                {
                    request.Content = new ByteArrayContent(json);
                    request.Content.Headers.ContentType = Json;
                    if (!string.IsNullOrEmpty(apiKey))
                    {
                        request.Headers.Add("x-api-key", apiKey);
                    }
                    using (HttpResponseMessage answer = await _client.SendAsync(request, cancellation).ConfigureAwait(false))
                    {
                        byte[] body = await answer.Content.ReadAsByteArrayAsync().ConfigureAwait(false);
                        RetryConditionHeaderValue pause = answer.Headers.RetryAfter;
                        return new HttpAnswer(
                            (int)answer.StatusCode, body, pause?.ToString(), answer.Headers.Date?.ToString("r"));
                    }
                }
            }
            catch (Exception error) when (IsOfTheWire(error) && cancellation.IsCancellationRequested)
            {
                throw new OperationCanceledException("The request was given up.", error, cancellation);
            }
            catch (Exception error) when (IsOfTheWire(error))
            {
                throw new UnreachableException(
                    url.GetLeftPart(UriPartial.Authority) + " gave no answer: " + error.GetBaseException().Message, error);
            }
        }

        public void Dispose() => _client.Dispose();

        // Mono tells a connection that was given up, or that broke, by any of these.
        static bool IsOfTheWire(Exception error) =>
            error is HttpRequestException || error is WebException || error is IOException ||
            error is ObjectDisposedException || error is OperationCanceledException;
    }
}
