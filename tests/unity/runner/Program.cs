using System;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Text;
using System.Threading.Tasks;

namespace Gamedojo.Tests
{
    /// <summary>
    /// unit                    runs every method of the *Tests classes
    /// json                    for each line of JSON on stdin, writes what was read
    /// scenario NAME ARGUMENT… runs a method of Scenarios
    /// </summary>
    static class Program
    {
        static int Main(string[] arguments)
        {
            Console.SetOut(new StreamWriter(Console.OpenStandardOutput(), new UTF8Encoding(false)) { AutoFlush = true });
            switch (arguments[0])
            {
                case "unit":
                    return Unit();
                case "json":
                    return JsonLines.Run();
                case "scenario":
                    MethodInfo scenario = typeof(Scenarios).GetMethod(arguments[1]);
                    return Run(scenario, arguments.Skip(2).Cast<object>().ToArray()) ? 0 : 1;
                default:
                    throw new ArgumentException(arguments[0]);
            }
        }

        static int Unit()
        {
            var tests =
                from type in Assembly.GetExecutingAssembly().GetTypes()
                where type.Name.EndsWith("Tests", StringComparison.Ordinal)
                from method in type.GetMethods(BindingFlags.Static | BindingFlags.Public | BindingFlags.DeclaredOnly)
                orderby type.Name, method.Name
                select method;
            bool[] passed = tests.Select(test => Run(test, new object[0])).ToArray();
            Console.WriteLine(passed.Length + " tests, " + passed.Count(one => !one) + " failed");
            return passed.All(one => one) ? 0 : 1;
        }

        static bool Run(MethodInfo test, object[] arguments)
        {
            string name = test.DeclaringType.Name + "." + test.Name;
            try
            {
                var running = test.Invoke(null, arguments) as Task;
                if (running != null)
                {
                    running.GetAwaiter().GetResult();
                }
                Console.WriteLine("ok      " + name);
                return true;
            }
            catch (Exception error)
            {
                Exception cause = error is TargetInvocationException ? error.InnerException : error;
                Console.WriteLine("FAILED  " + name + ": " + (cause is CheckFailed ? cause.Message : cause.ToString()));
                return false;
            }
        }
    }
}
