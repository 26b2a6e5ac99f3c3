using System;
using System.Collections.Concurrent;
using System.Threading;
using System.Threading.Tasks;

namespace Cfutures
{
    /// <summary>A pool of libcfutures whose tasks are Tasks, to be awaited.
    ///
    /// Outcomes come through one completion queue for each pool, on which one thread waits. It copies
    /// the outcome and releases what is C's: no future has to be disposed of.</summary>
    sealed class Pool : IDisposable
    {
        // What the library has of ours, by the number that it was given instead of a pointer.
        static readonly ConcurrentDictionary<long, object> lent = new ConcurrentDictionary<long, object>();
        static long numbers;

        // Kept for good: the library holds only their addresses.
        static readonly Native.Closure run = Run;
        static readonly Native.Free drop = Drop;
        static readonly Native.Hook start = UnblockSignals;

        readonly IntPtr executor, queue;
        readonly IntPtr keeper; // in the queue, so that it does not end before Dispose
        readonly Thread dispatcher;

        /// <summary>Threads of this process: for functions and named tasks.</summary>
        public static Pool OfThreads(int workers) => new Pool(workers, false);

        /// <summary>Worker processes: for named tasks; a crash costs the task that crashed. With a
        /// command they run that, a program that calls cfut_worker_run(); else tasks of shared
        /// objects.</summary>
        public static Pool OfProcesses(int workers, params string[] command) => new Pool(workers, true, command);

        Pool(int workers, bool processes, params string[] command)
        {
            var options = Native.cfut_options_new();
            try
            {
                TaskException.Check(Native.cfut_options_set(options, Native.OptWorkers, workers));
                TaskException.Check(Native.cfut_options_set_text(options, Native.OptName, Native.Utf8("mono")));
                for (int i = 0; i < command.Length; i++)
                {
                    var word = Native.Utf8(command[i]);
                    TaskException.Check(i == 0
                        ? Native.cfut_options_set_text(options, Native.OptWorkerProgram, word)
                        : Native.cfut_options_add_worker_arg(options, word));
                }
                if (!processes)
                    TaskException.Check(Native.cfut_options_set_worker_hooks(
                        options, start, null, IntPtr.Zero, null));
                TaskException.Check(processes
                    ? Native.cfut_process_pool_new(options, out executor)
                    : Native.cfut_thread_pool_new(options, out executor));
            }
            finally
            {
                Native.cfut_options_free(options);
            }
            TaskException.Check(Native.cfut_queue_new(out queue));
            TaskException.Check(Native.cfut_promise_new(out keeper, out var never));
            TaskException.Check(Native.cfut_queue_add(queue, never, 0));
            Native.cfut_future_release(never);
            dispatcher = new Thread(Dispatch) { IsBackground = true, Name = "cfutures outcomes" };
            dispatcher.Start();
        }

        /// <summary>Mono's collector stops threads by a realtime signal, and waits for ever for one
        /// that blocks it, as the library's workers do. (.NET's own runtime unblocks its signal
        /// itself.)</summary>
        static int UnblockSignals(IntPtr argument, uint worker)
        {
            const int first = 34, last = 64;
            var set = new byte[128]; // sigset_t
            for (int signal = first; signal <= last; signal++)
                set[(signal - 1) / 8] |= (byte)(1 << (signal - 1) % 8);
            return Native.pthread_sigmask(Native.SigUnblock, set, IntPtr.Zero);
        }

        /// <summary>Takes no more work, waits until what was accepted has ended, and releases the
        /// pool.</summary>
        public void Dispose()
        {
            TaskException.Check(Native.cfut_executor_shutdown(executor, 0, Native.Forever));
            // Comes out of the queue behind all the others, and ends the dispatcher.
            Native.cfut_promise_set_bytes(keeper, null, UIntPtr.Zero);
            dispatcher.Join();
            Native.cfut_executor_release(executor);
            Native.cfut_promise_release(keeper);
            Native.cfut_queue_release(queue);
        }

        /// <summary>How many objects the library still has; 0 when nothing is outstanding.</summary>
        public static int Lent => lent.Count;

        static long Lend(object thing)
        {
            long number = Interlocked.Increment(ref numbers);
            lent[number] = thing;
            return number;
        }

        // ---- submit ----

        /// <summary>Runs a named task: "module.so:symbol", or one that a worker program has
        /// registered. The token cancels it; one that runs for longer than the limit has
        /// expired.</summary>
        public Task<byte[]> Call(string name, byte[] data, TimeSpan? limit = null,
            CancellationToken token = default(CancellationToken))
        {
            TaskException.Check(Native.cfut_task_new_named(Native.Utf8(name), out var task));
            try
            {
                if (limit is TimeSpan time)
                    TaskException.Check(Native.cfut_task_set(task, Native.TaskRunTimeoutNs, time.Ticks * 100));
                TaskException.Check(Native.cfut_submit_task(
                    executor, task, data, (UIntPtr)data.Length, out var future));
                return Follow(future, new Outcome<byte[]>(ResultOf), token);
            }
            finally
            {
                Native.cfut_task_free(task);
            }
        }

        static byte[] ResultOf(IntPtr future)
        {
            var data = Native.cfut_future_bytes(future, out var length);
            return Native.Bytes(data, checked((int)(ulong)length));
        }

        /// <summary>Runs a function on a thread of a thread pool. The token keeps it from starting;
        /// the function may look at it itself.</summary>
        public Task<T> Run<T>(Func<T> function, CancellationToken token = default(CancellationToken))
        {
            var value = default(T);
            var outcome = new Outcome<T>(_ => value);
            Action closure = () =>
            {
                try
                {
                    value = function();
                }
                catch (Exception thrown) // none may leave a callback
                {
                    outcome.Thrown = thrown;
                    throw;
                }
            };
            var argument = (IntPtr)Lend(closure); // moved, also when the call fails
            TaskException.Check(Native.cfut_submit_closure(executor, run, argument, drop, out var future));
            return Follow(future, outcome, token);
        }

        static int Run(IntPtr promise, IntPtr argument)
        {
            try
            {
                ((Action)lent[(long)argument])();
                return 0;
            }
            catch (Exception thrown)
            {
                Native.cfut_promise_fail(promise, 1, Native.Utf8(thrown.Message));
                return 1;
            }
        }

        static void Drop(IntPtr argument) => lent.TryRemove((long)argument, out _);

        // ---- outcomes ----

        Task<T> Follow<T>(IntPtr future, Outcome<T> outcome, CancellationToken token)
        {
            outcome.Future = future;
            var number = Lend(outcome);
            var status = Native.cfut_queue_add(queue, future, (ulong)number);
            if (status != Native.Ok)
            {
                lent.TryRemove(number, out _);
                Native.cfut_future_release(future);
            }
            TaskException.Check(status);
            if (token.CanBeCanceled)
            {
                var registration = token.Register(outcome.Cancel);
                outcome.Task.ContinueWith(_ => registration.Dispose(), TaskContinuationOptions.ExecuteSynchronously);
            }
            return outcome.Task;
        }

        void Dispatch()
        {
            while (Native.cfut_queue_next(queue, Native.Forever, out var future, out var tag) == Native.Ok)
            {
                if (tag != 0 && lent.TryRemove((long)tag, out var outcome))
                    ((IOutcome)outcome).Settle();
                Native.cfut_future_release(future);
                if (tag == 0)
                    return;
            }
        }

        interface IOutcome
        {
            void Settle();
        }

        sealed class Outcome<T> : IOutcome
        {
            public IntPtr Future; // Zero once the task has ended
            public Exception Thrown;
            readonly Func<IntPtr, T> read;

            // What awaits must not run in the dispatcher, which would then wait for itself.
            readonly TaskCompletionSource<T> source =
                new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);

            public Outcome(Func<IntPtr, T> read) => this.read = read;

            public Task<T> Task => source.Task;

            public void Settle()
            {
                var future = Future;
                var status = Native.cfut_future_wait(future, Native.Now);
                var value = default(T);
                try
                {
                    if (status == Native.Ok)
                        value = read(future);
                }
                catch (Exception thrown) when (thrown is OverflowException || thrown is OutOfMemoryException)
                {
                    Thrown = thrown; // larger than an array can be
                    status = Native.Failed;
                }
                var code = Native.cfut_future_code(future);
                var message = Native.Text(Native.cfut_future_message(future));
                lock (this)
                {
                    Native.cfut_future_release(future);
                    Future = IntPtr.Zero;
                }
                if (status == Native.Ok)
                    source.SetResult(value);
                else if (status == Native.Cancelled)
                    source.SetCanceled();
                else
                    source.SetException(status == Native.Failed && Thrown != null
                        ? Thrown : new TaskException(status, code, message));
            }

            /// <summary>Keeps the task from starting, asks one that runs to stop, and kills a worker
            /// process whose task does not heed that.</summary>
            public void Cancel()
            {
                IntPtr running;
                lock (this)
                    running = Native.cfut_future_retain(Future);
                if (running == IntPtr.Zero)
                    return;
                Native.cfut_future_cancel(running, Native.CancelKill);
                Native.cfut_future_release(running);
            }
        }
    }
}
