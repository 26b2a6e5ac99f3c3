using System;
using System.Collections.Generic;
using System.Text;

namespace Cfutures
{
    /// <summary>A worker program in C#: its functions are tasks for the pools of other
    /// programs.</summary>
    static class Worker
    {
        static readonly List<Native.TaskFunction> kept = new List<Native.TaskFunction>(); // as in Pool

        public static void Main()
        {
            Register("reverse", text =>
            {
                var letters = text.ToCharArray();
                Array.Reverse(letters);
                return new string(letters);
            });
            Register("refuse", text => throw new ArgumentException(text + " is not wanted"));
            Register("leave", text =>
            {
                Environment.Exit(3);
                return text;
            });
            TaskException.Check(Native.cfut_worker_run());
        }

        /// <summary>Gives a function from text to text a name that pools call it by.</summary>
        static void Register(string name, Func<string, string> function)
        {
            Native.TaskFunction task = (promise, data, length) =>
            {
                try
                {
                    var text = Encoding.UTF8.GetString(Native.Bytes(data, checked((int)(ulong)length)));
                    var result = Encoding.UTF8.GetBytes(function(text));
                    return Native.cfut_promise_set_bytes(promise, result, (UIntPtr)result.Length);
                }
                catch (Exception thrown) // none may leave a callback
                {
                    Native.cfut_promise_fail(promise, 1, Native.Utf8(thrown.Message));
                    return 1;
                }
            };
            kept.Add(task);
            TaskException.Check(Native.cfut_register(Native.Utf8(name), task));
        }
    }
}
