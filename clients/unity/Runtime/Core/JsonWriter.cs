using System;
using System.Globalization;
using System.Text;

namespace Gamedojo
{
    /// <summary>
    /// Writes one JSON document as UTF-8. Requests are numbers for the most part, so these go into the buffer without a
    /// tree of objects in between.
    /// </summary>
    internal sealed class JsonWriter
    {
        const int FirstBytes = 1024;
        const int LongestNumber = 32;
        const float LargestPlainInteger = 1e6f;

        byte[] _buffer = new byte[FirstBytes];
        int _length;
        bool _separate;

        /// <summary>The document as written so far.</summary>
        public byte[] ToArray()
        {
            var document = new byte[_length];
            Buffer.BlockCopy(_buffer, 0, document, 0, _length);
            return document;
        }

        public void BeginObject() => Begin('{');

        public void EndObject() => End('}');

        public void BeginArray() => Begin('[');

        public void EndArray() => End(']');

        /// <summary>A member's name; its value comes next.</summary>
        public void Name(string name)
        {
            String(name);
            Put(':');
            _separate = false;
        }

        public void Null() => Word("null");

        public void Bool(bool value) => Word(value ? "true" : "false");

        public void Integer(long value) => Word(value.ToString(CultureInfo.InvariantCulture));

        /// <summary>A finite number, so that reading it as a float gives the same float again.</summary>
        public void Number(float value)
        {
            // Most of what agents observe is 0, 1 or a small count: these need no string.
            if (value > -LargestPlainInteger && value < LargestPlainInteger && value == (int)value)
            {
                Digits((int)value);
                return;
            }
            Word(Exact(value));
        }

        public void String(string value)
        {
            Separate();
            Put('"');
            for (int i = 0; i < value.Length; i++)
            {
                i += Character(value, i);
            }
            Put('"');
            _separate = true;
        }

        static string Exact(float value)
        {
            if (float.IsNaN(value) || float.IsInfinity(value))
            {
                throw new InvalidInputException(
                    value.ToString(CultureInfo.InvariantCulture) + " cannot be written as JSON: finite numbers only.");
            }
            string text = value.ToString("R", CultureInfo.InvariantCulture);
            bool same = float.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture) == value;
            return same ? text : value.ToString("G9", CultureInfo.InvariantCulture);
        }

        void Begin(char bracket)
        {
            Separate();
            Put(bracket);
            _separate = false;
        }

        void End(char bracket)
        {
            Put(bracket);
            _separate = true;
        }

        void Separate()
        {
            if (_separate)
            {
                Put(',');
            }
        }

        void Word(string ascii)
        {
            Separate();
            Reserve(ascii.Length);
            for (int i = 0; i < ascii.Length; i++)
            {
                _buffer[_length++] = (byte)ascii[i];
            }
            _separate = true;
        }

        void Digits(int value)
        {
            Separate();
            Reserve(LongestNumber);
            if (value < 0)
            {
                _buffer[_length++] = (byte)'-';
                value = -value;
            }
            int divisor = 1;
            while (value / divisor >= 10)
            {
                divisor *= 10;
            }
            for (; divisor > 0; divisor /= 10)
            {
                _buffer[_length++] = (byte)('0' + value / divisor % 10);
            }
            _separate = true;
        }

        /// <returns>How many further chars of the string it took: 1 for a pair of surrogates.</returns>
        int Character(string value, int index)
        {
            char one = value[index];
            if (one == '"' || one == '\\')
            {
                Put('\\');
                Put(one);
                return 0;
            }
            if (char.IsHighSurrogate(one) && index + 1 < value.Length && char.IsLowSurrogate(value[index + 1]))
            {
                Reserve(4);
                _length += Encoding.UTF8.GetBytes(value, index, 2, _buffer, _length);
                return 1;
            }
            // Half a pair has no UTF-8; it can be escaped only.
            if (one < ' ' || char.IsSurrogate(one))
            {
                foreach (char escaped in "\\u" + ((int)one).ToString("x4", CultureInfo.InvariantCulture))
                {
                    Put(escaped);
                }
                return 0;
            }
            Reserve(3);
            _length += Encoding.UTF8.GetBytes(value, index, 1, _buffer, _length);
            return 0;
        }

        void Put(char ascii)
        {
            Reserve(1);
            _buffer[_length++] = (byte)ascii;
        }

        void Reserve(int bytes)
        {
            if (_length + bytes > _buffer.Length)
            {
                Array.Resize(ref _buffer, Math.Max(_buffer.Length * 2, _length + bytes));
            }
        }
    }
}
