using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace Cfutures
{
    /// <summary>A host in C#: functions on a pool of threads, named tasks on threads and in processes,
    /// and worker processes that run Worker. CFUT_TASKS is the shared object made of tasks.c.
    ///
    ///     mcs -out:worker.exe Worker.cs Native.cs
    ///     mcs -out:host.exe Host.cs Pool.cs Native.cs
    ///     CFUT_TASKS=./tasks.so LD_LIBRARY_PATH=../../../target/release mono host.exe
    /// </summary>
    static class Host
    {
        static readonly string tasks = Environment.GetEnvironmentVariable("CFUT_TASKS");

        public static void Main()
        {
            OnThreads().Wait();
            InProcesses().Wait();
            InMonoProcesses().Wait();
            ManyTasks().Wait();
            Console.WriteLine("ok");
        }

        static async Task<long> Square(Pool pool, long n) =>
            BitConverter.ToInt64(await pool.Call(tasks + ":square", BitConverter.GetBytes(n)), 0);

        /// <summary>Shows a line, and ends the program if it is not the one that was expected.</summary>
        static void Show<T>(string what, T got, T wanted)
        {
            Console.WriteLine(what + ": " + got);
            if (!Equals(got, wanted))
                throw new Exception(what + ": wanted " + wanted);
        }

        /// <summary>What a task without a result ended with.</summary>
        static async Task<Exception> Failure(Task task)
        {
            try
            {
                await task;
            }
            catch (Exception thrown)
            {
                return thrown;
            }
            return new Exception("succeeded");
        }

        static byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text);

        static async Task OnThreads()
        {
            using (var pool = Pool.OfThreads(4))
            {
                Show("square of 12", await Square(pool, 12), 144);
                Show("a failure", (await Failure(pool.Call(tasks + ":fail", Bytes("no such caf\u00e9")))).Message,
                    "CFUT_FAILED 42: no such caf\u00e9");
                var hello = "hello";
                Show("a function", await pool.Run(() => hello.ToUpper()), "HELLO");
                Show("its own exception", (await Failure(pool.Run(() => File.ReadAllText("/nonexistent")))).GetType(),
                    typeof(FileNotFoundException));
                // The collector has to stop threads that are the library's.
                await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => pool.Run(() => new byte[100000].Length)));
                GC.Collect();

                using (var source = new CancellationTokenSource())
                {
                    var lingering = pool.Call(tasks + ":linger", Bytes(""), null, source.Token);
                    var first = await Task.WhenAny(lingering, Task.Delay(20));
                    Show("after the time-out of a wait it goes on", first != lingering, true);
                    source.Cancel();
                    Show("cancelled", (await Failure(lingering)).GetType(), typeof(TaskCanceledException));
                }
                var expired = await Failure(
                    pool.Call(tasks + ":linger", Bytes(""), TimeSpan.FromMilliseconds(20)));
                Show("time-out of a task", ((TaskException)expired).Status, Native.Expired);

                var outstanding = Enumerable.Range(1, 5).Select(n => Square(pool, n)).ToList();
                long sum = 0;
                while (outstanding.Count > 0)
                {
                    var completed = await Task.WhenAny(outstanding);
                    outstanding.Remove(completed);
                    sum += await completed;
                }
                Show("as completed, a sum", sum, 55);
            }
        }

        static async Task InProcesses()
        {
            using (var pool = Pool.OfProcesses(2))
            {
                Show("in a process", await Square(pool, 12), 144);
                var crashed = (TaskException)await Failure(pool.Call(tasks + ":crash", Bytes("")));
                Show("a crash", crashed.Status, Native.Crashed);
                Show("by", crashed.Message.Contains("SIGSEGV"), true);
                Show("the pool goes on", await Square(pool, 13), 169);
            }
        }

        static async Task InMonoProcesses()
        {
            var directory = AppDomain.CurrentDomain.BaseDirectory;
            var mono = Process.GetCurrentProcess().MainModule.FileName;
            using (var pool = Pool.OfProcesses(1, mono, Path.Combine(directory, "worker.exe")))
            {
                Func<string, string, Task<string>> call = async (name, text) =>
                    Encoding.UTF8.GetString(await pool.Call(name, Bytes(text)));
                Show("reversed in C#", await call("reverse", "abc"), "cba");
                Show("an exception in C#", (await Failure(call("refuse", "caf\u00e9"))).Message,
                    "CFUT_FAILED 1: caf\u00e9 is not wanted");
                Show("a worker that leaves", ((TaskException)await Failure(call("leave", ""))).Status, Native.Crashed);
                Show("another one", await call("reverse", "cba"), "abc");
            }
        }

        /// <summary>Nothing stays behind.</summary>
        static async Task ManyTasks()
        {
            long differences = 0, before = 0;
            using (var threads = Pool.OfThreads(4))
            using (var processes = Pool.OfProcesses(2))
            {
                for (int round = 0; round < 10; round++)
                {
                    var all = new List<Task<long>>();
                    for (long n = 0; n < 1000; n++)
                    {
                        var number = n;
                        all.Add(Square(processes, n));
                        all.Add(threads.Run(() => -number * number));
                    }
                    differences += (await Task.WhenAll(all)).Sum();
                    if (round == 4)
                        before = ResidentKib();
                }
            }
            Show("10000 tasks on each, differences", differences, 0);
            Show("objects left", Pool.Lent, 0);
            Show("grown by less than 64 MiB", ResidentKib() - before < 64 << 10, true);
        }

        static long ResidentKib()
        {
            var line = File.ReadLines("/proc/self/status").First(found => found.StartsWith("VmRSS:"));
            return long.Parse(new string(line.Where(char.IsDigit).ToArray()));
        }
    }
}
