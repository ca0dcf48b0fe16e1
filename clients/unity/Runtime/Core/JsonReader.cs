using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace Gamedojo
{
    /// <summary>
    /// Reads one JSON document (RFC 8259) as null, bool, long, double, string, List&lt;object&gt; and
    /// Dictionary&lt;string, object&gt;. A whole number that fits is a long. Of two members of one name the last counts.
    /// </summary>
    internal sealed class JsonReader
    {
        /// <summary>Deeper documents are refused: they would take the stack.</summary>
        public const int DeepestNesting = 64;

        static readonly UTF8Encoding StrictUtf8 = new UTF8Encoding(false, true);

        readonly string _text;
        int _at;
        int _depth;

        JsonReader(string text)
        {
            _text = text;
        }

        /// <exception cref="FormatException">No JSON; says where, what was expected and what is there.</exception>
        public static object Read(byte[] utf8)
        {
            try
            {
                return Read(StrictUtf8.GetString(utf8));
            }
            catch (DecoderFallbackException error)
            {
                throw new FormatException("Not JSON: the bytes are no UTF-8.", error);
            }
        }

        /// <inheritdoc cref="Read(byte[])"/>
        public static object Read(string text)
        {
            var reader = new JsonReader(text);
            object value = reader.Value();
            reader.Blanks();
            if (reader._at < text.Length)
            {
                throw reader.Unexpected("the document's end");
            }
            return value;
        }

        object Value()
        {
            Blanks();
            switch (Next())
            {
                case '{':
                    return Nested(Object);
                case '[':
                    return Nested(Array);
                case '"':
                    return String();
                case 't':
                    return Literal("true", true);
                case 'f':
                    return Literal("false", false);
                case 'n':
                    return Literal("null", null);
                default:
                    return Number();
            }
        }

        object Nested(Func<object> read)
        {
            if (++_depth > DeepestNesting)
            {
                throw new FormatException("JSON nested deeper than " + DeepestNesting + " levels is not read.");
            }
            _at++;
            object value = read();
            _depth--;
            return value;
        }

        object Object()
        {
            var members = new Dictionary<string, object>(StringComparer.Ordinal);
            Blanks();
            if (Took('}'))
            {
                return members;
            }
            do
            {
                Blanks();
                if (Next() != '"')
                {
                    throw Unexpected("a member's name");
                }
                string name = String();
                Blanks();
                Take(':');
                members[name] = Value();
                Blanks();
            }
            while (Took(','));
            Take('}');
            return members;
        }

        object Array()
        {
            var entries = new List<object>();
            Blanks();
            if (Took(']'))
            {
                return entries;
            }
            do
            {
                entries.Add(Value());
                Blanks();
            }
            while (Took(','));
            Take(']');
            return entries;
        }

        string String()
        {
            int start = ++_at;
            while (_at < _text.Length && _text[_at] != '"' && _text[_at] != '\\' && _text[_at] >= ' ')
            {
                _at++;
            }
            if (Next() == '"')
            {
                return _text.Substring(start, _at++ - start);
            }
            var unescaped = new StringBuilder(_text, start, _at - start, (_at - start) * 2 + 16);
            while (!Took('"'))
            {
                if (Next() < ' ')
                {
                    throw Unexpected("a character of a string");
                }
                char one = _text[_at++];
                unescaped.Append(one == '\\' ? Escaped() : one);
            }
            return unescaped.ToString();
        }

        char Escaped()
        {
            char kind = Next();
            _at++;
            switch (kind)
            {
                case '"':
                case '\\':
                case '/':
                    return kind;
                case 'b':
                    return '\b';
                case 'f':
                    return '\f';
                case 'n':
                    return '\n';
                case 'r':
                    return '\r';
                case 't':
                    return '\t';
                case 'u':
                    return Hexadecimal();
                default:
                    _at--;
                    throw Unexpected("an escape");
            }
        }

        char Hexadecimal()
        {
            const int Digits = 4;
            int code = 0;
            for (int end = _at + Digits; _at < end; _at++)
            {
                char digit = Next();
                if (!Uri.IsHexDigit(digit))
                {
                    throw Unexpected("a hexadecimal digit");
                }
                code = code * 16 + Uri.FromHex(digit);
            }
            return (char)code;
        }

        object Literal(string word, object value)
        {
            foreach (char letter in word)
            {
                Take(letter);
            }
            return value;
        }

        object Number()
        {
            int start = _at;
            Took('-');
            if (!Took('0'))
            {
                DigitRun();
            }
            bool whole = true;
            if (Took('.'))
            {
                whole = false;
                DigitRun();
            }
            if (Took('e') || Took('E'))
            {
                whole = false;
                if (!Took('+'))
                {
                    Took('-');
                }
                DigitRun();
            }
            string text = _text.Substring(start, _at - start);
            long integer;
            if (whole && long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out integer))
            {
                return integer;
            }
            double number;
            bool fits = double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out number);
            if (!fits || double.IsInfinity(number))
            {
                throw new FormatException("The number " + text + " is larger than a double can be.");
            }
            return number;
        }

        void DigitRun()
        {
            if (!IsDigit(Next()))
            {
                throw Unexpected("a digit");
            }
            while (IsDigit(Next()))
            {
                _at++;
            }
        }

        static bool IsDigit(char one) => one >= '0' && one <= '9';

        void Blanks()
        {
            while (Next() == ' ' || Next() == '\n' || Next() == '\r' || Next() == '\t')
            {
                _at++;
            }
        }

        /// <summary>The next character; NUL, which no document holds outside an escape, at the end.</summary>
        char Next() => _at < _text.Length ? _text[_at] : '\0';

        bool Took(char wanted)
        {
            bool there = Next() == wanted;
            if (there)
            {
                _at++;
            }
            return there;
        }

        void Take(char wanted)
        {
            if (!Took(wanted))
            {
                throw Unexpected("'" + wanted + "'");
            }
        }

        FormatException Unexpected(string wanted)
        {
            string found = _at < _text.Length ? "'" + _text[_at] + "'" : "the end";
            return new FormatException("Not JSON: " + wanted + " expected at character " + _at + ", " + found + " found.");
        }
    }
}
