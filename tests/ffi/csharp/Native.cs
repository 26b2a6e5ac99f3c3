using System;
using System.Runtime.InteropServices;
using System.Text;

namespace Cfutures
{
    /// <summary>What the other files use of cfutures.h.</summary>
    static class Native
    {
        public const int Ok = 0, Cancelled = 3, Failed = 4, Crashed = 5, Expired = 6, Broken = 7;
        public const long Forever = -1, Now = 0;
        public const int OptWorkers = 1, OptName = 64, OptWorkerProgram = 65;
        public const int TaskRunTimeoutNs = 2;
        public const uint CancelKill = 2;

        const string Library = "cfutures";

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        public delegate int Closure(IntPtr promise, IntPtr argument);

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        public delegate void Free(IntPtr argument);

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        public delegate int TaskFunction(IntPtr promise, IntPtr data, UIntPtr length);

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        public delegate int Hook(IntPtr argument, uint worker);

        // Texts go in and out as UTF-8, with a NUL behind them; the marshaller's own would be in the
        // code page of the system on some.
        public static byte[] Utf8(string text) => Encoding.UTF8.GetBytes(text + "\0");

        public static string Text(IntPtr text)
        {
            int length = 0;
            while (Marshal.ReadByte(text, length) != 0)
                length++;
            return Encoding.UTF8.GetString(Bytes(text, length));
        }

        public static byte[] Bytes(IntPtr data, int length)
        {
            var bytes = new byte[length];
            if (length > 0)
                Marshal.Copy(data, bytes, 0, length);
            return bytes;
        }

        [DllImport(Library)] public static extern IntPtr cfut_status_name(int status);
        [DllImport(Library)] public static extern UIntPtr cfut_last_error(byte[] text, UIntPtr capacity);

        [DllImport(Library)] public static extern IntPtr cfut_options_new();
        [DllImport(Library)] public static extern int cfut_options_set(IntPtr options, int key, long value);
        [DllImport(Library)] public static extern int cfut_options_set_text(IntPtr options, int key, byte[] text);
        [DllImport(Library)] public static extern int cfut_options_add_worker_arg(IntPtr options, byte[] argument);
        [DllImport(Library)] public static extern int cfut_options_set_worker_hooks(
            IntPtr options, Hook start, Hook stop, IntPtr argument, Free free);
        [DllImport(Library)] public static extern void cfut_options_free(IntPtr options);

        [DllImport(Library)] public static extern int cfut_thread_pool_new(IntPtr options, out IntPtr executor);
        [DllImport(Library)] public static extern int cfut_process_pool_new(IntPtr options, out IntPtr executor);
        [DllImport(Library)] public static extern int cfut_executor_shutdown(IntPtr executor, uint flags, long timeoutNs);
        [DllImport(Library)] public static extern void cfut_executor_release(IntPtr executor);

        [DllImport(Library)] public static extern int cfut_task_new_named(byte[] name, out IntPtr task);
        [DllImport(Library)] public static extern int cfut_task_set(IntPtr task, int key, long value);
        [DllImport(Library)] public static extern void cfut_task_free(IntPtr task);
        [DllImport(Library)] public static extern int cfut_submit_task(
            IntPtr executor, IntPtr task, byte[] data, UIntPtr length, out IntPtr future);
        [DllImport(Library)] public static extern int cfut_submit_closure(
            IntPtr executor, Closure closure, IntPtr argument, Free free, out IntPtr future);

        [DllImport(Library)] public static extern IntPtr cfut_future_retain(IntPtr future);
        [DllImport(Library)] public static extern int cfut_future_wait(IntPtr future, long timeoutNs);
        [DllImport(Library)] public static extern IntPtr cfut_future_bytes(IntPtr future, out UIntPtr length);
        [DllImport(Library)] public static extern int cfut_future_code(IntPtr future);
        [DllImport(Library)] public static extern IntPtr cfut_future_message(IntPtr future);
        [DllImport(Library)] public static extern int cfut_future_cancel(IntPtr future, uint mode);
        [DllImport(Library)] public static extern void cfut_future_release(IntPtr future);

        [DllImport(Library)] public static extern int cfut_queue_new(out IntPtr queue);
        [DllImport(Library)] public static extern int cfut_queue_add(IntPtr queue, IntPtr future, ulong tag);
        [DllImport(Library)] public static extern int cfut_queue_next(
            IntPtr queue, long timeoutNs, out IntPtr future, out ulong tag);
        [DllImport(Library)] public static extern void cfut_queue_release(IntPtr queue);

        [DllImport(Library)] public static extern int cfut_promise_new(out IntPtr promise, out IntPtr future);
        [DllImport(Library)] public static extern int cfut_promise_set_bytes(IntPtr promise, byte[] data, UIntPtr length);
        [DllImport(Library)] public static extern int cfut_promise_fail(IntPtr promise, int code, byte[] message);
        [DllImport(Library)] public static extern void cfut_promise_release(IntPtr promise);

        [DllImport(Library)] public static extern int cfut_register(byte[] name, TaskFunction task);
        [DllImport(Library)] public static extern int cfut_worker_run();

        public const int SigUnblock = 1;
        [DllImport("libc")] public static extern int pthread_sigmask(int how, byte[] set, IntPtr old);
    }

    /// <summary>A call that was refused, or a task without a result.</summary>
    class TaskException : Exception
    {
        public readonly int Status;
        public readonly int Code;

        public TaskException(int status, int code, string message)
            : base(Native.Text(Native.cfut_status_name(status))
                + (status == Native.Failed ? " " + code : "") + ": " + message)
        {
            Status = status;
            Code = code;
        }

        /// <summary>The library's own words for a negative status, and for the refusal of a broken
        /// pool.</summary>
        public static void Check(int status)
        {
            if (status >= 0 && status != Native.Broken)
                return;
            var text = new byte[512];
            var length = (int)Native.cfut_last_error(text, (UIntPtr)text.Length);
            throw new TaskException(status, 0, Encoding.UTF8.GetString(text, 0, length));
        }
    }
}
