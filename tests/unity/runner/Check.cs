using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading.Tasks;

namespace Gamedojo.Tests
{
    /// <summary>What a test expects did not come true.</summary>
    sealed class CheckFailed : Exception
    {
        public CheckFailed(string message) : base(message)
        {
        }
    }

    static class Check
    {
        public static void That(bool holds, string what)
        {
            if (!holds)
            {
                throw new CheckFailed(what);
            }
        }

        public static void Equal<T>(T expected, T actual, string what = "value") =>
            That(
                EqualityComparer<T>.Default.Equals(expected, actual),
                what + ": " + expected + " expected, " + actual + " found");

        public static void Same<T>(IEnumerable<T> expected, IEnumerable<T> actual, string what = "sequence")
        {
            string wanted = string.Join(", ", expected);
            string found = string.Join(", ", actual);
            That(expected.SequenceEqual(actual), what + ": [" + wanted + "] expected, [" + found + "] found");
        }

        public static void Contains(string part, string text) =>
            That(text.Contains(part), "'" + part + "' expected in '" + text + "'");

        public static T Throws<T>(Action action) where T : Exception => ThrowsAsync<T>(() =>
        {
            action();
            return Task.CompletedTask;
        }).GetAwaiter().GetResult();

        public static async Task<T> ThrowsAsync<T>(Func<Task> action) where T : Exception
        {
            try
            {
                await action();
            }
            catch (T error)
            {
                return error;
            }
            catch (Exception error)
            {
                throw new CheckFailed(typeof(T).Name + " expected, thrown: " + error);
            }
            throw new CheckFailed(typeof(T).Name + " expected, nothing thrown");
        }
    }
}
