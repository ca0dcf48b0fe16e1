using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;
using System.Threading;

namespace Gamedojo.Tests
{
    static class JsonTests
    {
        public static void NumbersAreWrittenTheSameInEveryCulture()
        {
            CultureInfo before = Thread.CurrentThread.CurrentCulture;
            try
            {
                Thread.CurrentThread.CurrentCulture = new CultureInfo("de-DE");
                Check.Equal("[0.5,-1234.5,1E-10,7,-12]", Floats(0.5f, -1234.5f, 1e-10f, 7f, -12f));
                Check.Equal(0.25, (double)JsonReader.Read("0.25"));
            }
            finally
            {
                Thread.CurrentThread.CurrentCulture = before;
            }
        }

        public static void EveryFloatComesBackTheSame()
        {
            var random = new Random(7);
            var bytes = new byte[4];
            for (int i = 0; i < 20000; i++)
            {
                random.NextBytes(bytes);
                float value = BitConverter.ToSingle(bytes, 0);
                if (float.IsNaN(value) || float.IsInfinity(value))
                {
                    continue;
                }
                object read = ((List<object>)JsonReader.Read(Floats(value)))[0];
                Check.Equal(value, Convert.ToSingle(read, CultureInfo.InvariantCulture));
            }
        }

        public static void WholeNumbersAreWrittenDigitByDigit()
        {
            foreach (int value in new[] { 0, 1, -1, 9, 10, 99, 100, 101, 999999, -999999, 1000000, 16777216 })
            {
                Check.Equal("[" + value + "]", Floats(value));
            }
        }

        public static void WhatIsNotFiniteIsRefused()
        {
            foreach (float value in new[] { float.NaN, float.PositiveInfinity, float.NegativeInfinity })
            {
                Check.Contains("finite", Check.Throws<InvalidInputException>(() => Floats(value)).Message);
            }
        }

        public static void ErrorsSayWhere()
        {
            var cases = new Dictionary<string, string>
            {
                { "", "a digit expected at character 0, the end found" },
                { "{\"a\" 1}", "':' expected at character 5, '1' found" },
                { "[1,]", "a digit expected at character 3, ']' found" },
                { "[1 2]", "']' expected at character 3, '2' found" },
                { "{} x", "the document's end expected at character 3" },
                { "\"ab", "a character of a string expected at character 3, the end found" },
                { "\"\\q\"", "an escape expected at character 2, 'q' found" },
                { "\"\\u12g4\"", "a hexadecimal digit expected at character 5, 'g' found" },
                { "nul", "'l' expected at character 3, the end found" },
                { "01", "the document's end expected at character 1" },
                { "NaN", "a digit expected at character 0, 'N' found" },
                { "{1: 2}", "a member's name expected at character 1, '1' found" },
                { "1e999", "larger than a double" },
            };
            foreach (KeyValuePair<string, string> one in cases)
            {
                Check.Contains(one.Value, Check.Throws<FormatException>(() => JsonReader.Read(one.Key)).Message);
            }
        }

        public static void DepthIsBounded()
        {
            int deepest = JsonReader.DeepestNesting;
            JsonReader.Read(new string('[', deepest) + new string(']', deepest));
            string deeper = new string('[', 100000);
            Check.Contains("deeper than 64", Check.Throws<FormatException>(() => JsonReader.Read(deeper)).Message);
        }

        public static void BytesThatAreNoUtf8AreRefused()
        {
            var bytes = new byte[] { (byte)'"', 0xC3, 0x28, (byte)'"' };
            Check.Contains("UTF-8", Check.Throws<FormatException>(() => JsonReader.Read(bytes)).Message);
        }

        static string Floats(params float[] values)
        {
            var writer = new JsonWriter();
            writer.BeginArray();
            foreach (float value in values)
            {
                writer.Number(value);
            }
            writer.EndArray();
            return Encoding.UTF8.GetString(writer.ToArray());
        }
    }
}
