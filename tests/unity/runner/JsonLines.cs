using System;
using System.Collections.Generic;
using System.IO;
using System.Text;

namespace Gamedojo.Tests
{
    /// <summary>
    /// Reads a document a line and writes it again, for the tests against Python's json. Numbers that are not whole are
    /// written as floats, which is what the client sends and takes.
    /// </summary>
    static class JsonLines
    {
        public static int Run()
        {
            var input = new StreamReader(Console.OpenStandardInput(), new UTF8Encoding(false));
            string line;
            while ((line = input.ReadLine()) != null)
            {
                Console.WriteLine(Answer(line));
            }
            return 0;
        }

        static string Answer(string line)
        {
            try
            {
                var writer = new JsonWriter();
                Write(writer, JsonReader.Read(Encoding.UTF8.GetBytes(line)));
                return Encoding.UTF8.GetString(writer.ToArray());
            }
            catch (FormatException error)
            {
                return "refused: " + error.Message;
            }
            catch (InvalidInputException error)
            {
                return "too large: " + error.Message;
            }
        }

        static void Write(JsonWriter writer, object value)
        {
            if (value == null)
            {
                writer.Null();
            }
            else if (value is bool truth)
            {
                writer.Bool(truth);
            }
            else if (value is long integer)
            {
                writer.Integer(integer);
            }
            else if (value is double number)
            {
                writer.Number((float)number);
            }
            else if (value is string text)
            {
                writer.String(text);
            }
            else if (value is List<object> entries)
            {
                writer.BeginArray();
                entries.ForEach(entry => Write(writer, entry));
                writer.EndArray();
            }
            else
            {
                writer.BeginObject();
                foreach (KeyValuePair<string, object> member in (Dictionary<string, object>)value)
                {
                    writer.Name(member.Key);
                    Write(writer, member.Value);
                }
                writer.EndObject();
            }
        }
    }
}
