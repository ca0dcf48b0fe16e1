// UnityWebRequest over a real socket. As in the engine, `completed` is called on the main thread, between frames.
using System;
using System.Collections.Concurrent;
using System.IO;
using System.Net;
using System.Threading;
using System.Threading.Tasks;

namespace UnityEngine
{
    public class AsyncOperation
    {
        static readonly ConcurrentQueue<AsyncOperation> Done = new ConcurrentQueue<AsyncOperation>();

        public event Action<AsyncOperation> completed;

        internal void End() => Done.Enqueue(this);

        /// <summary>The engine's part of a frame.</summary>
        public static void Pump()
        {
            AsyncOperation operation;
            while (Done.TryDequeue(out operation))
            {
                operation.completed?.Invoke(operation);
            }
        }
    }
}

namespace UnityEngine.Networking
{
    public sealed class UploadHandlerRaw
    {
        public UploadHandlerRaw(byte[] data)
        {
            this.data = data;
        }

        public byte[] data { get; }
    }

    public sealed class DownloadHandlerBuffer
    {
        public byte[] data { get; internal set; }
    }

    public sealed class UnityWebRequestAsyncOperation : AsyncOperation
    {
    }

    public sealed class UnityWebRequest : IDisposable
    {
        public const string kHttpVerbPOST = "POST";

        readonly HttpWebRequest _request;
        readonly UnityWebRequestAsyncOperation _operation = new UnityWebRequestAsyncOperation();
        int _ended;
        WebHeaderCollection _headers;

        public UnityWebRequest(string url, string method)
        {
            _request = WebRequest.CreateHttp(url);
            _request.Method = method;
            _request.Proxy = null;
            _request.ServicePoint.Expect100Continue = false;
            _request.ServicePoint.ConnectionLimit = 16;
        }

        public enum Result
        {
            InProgress,
            Success,
            ConnectionError,
            ProtocolError,
            DataProcessingError,
        }

        public UploadHandlerRaw uploadHandler { get; set; }

        public DownloadHandlerBuffer downloadHandler { get; set; }

        public int redirectLimit { get; set; }

        public Result result { get; private set; }

        public long responseCode { get; private set; }

        public string error { get; private set; }

        public void SetRequestHeader(string name, string value)
        {
            if (name == "Content-Type")
            {
                _request.ContentType = value;
            }
            else
            {
                _request.Headers[name] = value;
            }
        }

        public string GetResponseHeader(string name) => _headers?[name];

        public UnityWebRequestAsyncOperation SendWebRequest()
        {
            Task.Run(() =>
            {
                try
                {
                    Exchange();
                }
                catch (Exception failure)
                {
                    End(Result.ConnectionError, failure.Message);
                }
            });
            return _operation;
        }

        public void Abort()
        {
            _request.Abort();
            End(Result.ConnectionError, "Request aborted");
        }

        public void Dispose()
        {
        }

        void Exchange()
        {
            using (Stream body = _request.GetRequestStream())
            {
                body.Write(uploadHandler.data, 0, uploadHandler.data.Length);
            }
            using (HttpWebResponse answer = Answer())
            {
                var buffer = new MemoryStream();
                answer.GetResponseStream().CopyTo(buffer);
                downloadHandler.data = buffer.ToArray();
                responseCode = (long)answer.StatusCode;
                _headers = answer.Headers;
                bool cut = answer.ContentLength > buffer.Length;
                bool fine = (int)answer.StatusCode < 400;
                End(cut ? Result.ConnectionError : fine ? Result.Success : Result.ProtocolError, cut ? "cut off" : null);
            }
        }

        HttpWebResponse Answer()
        {
            try
            {
                return (HttpWebResponse)_request.GetResponse();
            }
            catch (WebException failure) when (failure.Response != null)
            {
                return (HttpWebResponse)failure.Response;
            }
        }

        void End(Result how, string why)
        {
            if (Interlocked.Exchange(ref _ended, 1) == 0)
            {
                result = how;
                error = why;
                _operation.End();
            }
        }
    }
}
