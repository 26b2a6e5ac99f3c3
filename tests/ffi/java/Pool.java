import com.sun.jna.CallbackThreadInitializer;
import com.sun.jna.Native;
import com.sun.jna.Pointer;
import com.sun.jna.ptr.LongByReference;
import com.sun.jna.ptr.PointerByReference;
import java.time.Duration;
import java.util.concurrent.Callable;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import java.util.concurrent.atomic.AtomicLong;

/**
 * A pool of libcfutures whose tasks are {@link CompletableFuture}s.
 *
 * <p>Outcomes come through one completion queue for each pool, on which one daemon thread waits. It
 * copies the outcome and releases what is C's: nobody has to close a future. Stages that take long or wait
 * for other tasks belong on an executor of Java's (thenApplyAsync), as that thread runs the others.
 */
final class Pool implements AutoCloseable {
    private static final Cfutures C = Cfutures.LIBRARY;

    /** What the library has of Java's, by the number that it was given instead of a pointer. */
    private static final ConcurrentMap<Long, Object> LENT = new ConcurrentHashMap<>();
    private static final AtomicLong NUMBERS = new AtomicLong();

    // Kept for good: the library holds only their addresses.
    private static final Cfutures.Closure RUN = Pool::run;
    private static final Cfutures.Free DROP = argument -> LENT.remove(Pointer.nativeValue(argument));

    static {
        // Workers are attached to the virtual machine once, not in each task; as daemons they do not
        // keep it from ending.
        Native.setCallbackThreadInitializer(RUN, new CallbackThreadInitializer(true, false, "cfutures"));
        Native.setCallbackThreadInitializer(DROP, new CallbackThreadInitializer(true, false, "cfutures"));
    }

    private final Pointer executor;
    private final Pointer queue;
    /** In the queue, so that it does not end before {@link #close}. */
    private final Pointer keeper;
    private final Thread dispatcher;

    /** Threads of this process: for functions and named tasks. */
    static Pool ofThreads(int workers) {
        return new Pool(workers, null, false);
    }

    /**
     * Worker processes: for named tasks; a crash costs the task that crashed. With a command they run that,
     * a program that calls cfut_worker_run(); else tasks of shared objects.
     */
    static Pool ofProcesses(int workers, String... command) {
        return new Pool(workers, command, true);
    }

    private Pool(int workers, String[] command, boolean processes) {
        Pointer options = C.cfut_options_new();
        try {
            TaskException.check(C.cfut_options_set(options, Cfutures.OPT_WORKERS, workers));
            TaskException.check(C.cfut_options_set_text(options, Cfutures.OPT_NAME, Cfutures.text("java")));
            for (int i = 0; command != null && i < command.length; i++) {
                byte[] word = Cfutures.text(command[i]);
                TaskException.check(i == 0
                        ? C.cfut_options_set_text(options, Cfutures.OPT_WORKER_PROGRAM, word)
                        : C.cfut_options_add_worker_arg(options, word));
            }
            PointerByReference made = new PointerByReference();
            TaskException.check(processes
                    ? C.cfut_process_pool_new(options, made) : C.cfut_thread_pool_new(options, made));
            executor = made.getValue();
        } finally {
            C.cfut_options_free(options);
        }
        PointerByReference made = new PointerByReference();
        PointerByReference never = new PointerByReference();
        TaskException.check(C.cfut_queue_new(made));
        queue = made.getValue();
        TaskException.check(C.cfut_promise_new(made, never));
        keeper = made.getValue();
        TaskException.check(C.cfut_queue_add(queue, never.getValue(), 0));
        C.cfut_future_release(never.getValue());
        dispatcher = new Thread(this::dispatch, "cfutures outcomes");
        dispatcher.setDaemon(true);
        dispatcher.start();
    }

    /** Takes no more work, waits until what was accepted has ended, and releases the pool. */
    @Override
    public void close() {
        TaskException.check(C.cfut_executor_shutdown(executor, 0, Cfutures.FOREVER));
        // Comes out of the queue behind all the others, and ends the dispatcher.
        C.cfut_promise_set_bytes(keeper, null, 0);
        boolean interrupted = false;
        while (dispatcher.isAlive()) {
            try {
                dispatcher.join();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        C.cfut_executor_release(executor);
        C.cfut_promise_release(keeper);
        C.cfut_queue_release(queue);
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    /** How many objects the library still has; 0 when nothing is outstanding. */
    static int lent() {
        return LENT.size();
    }

    private static long lend(Object object) {
        long number = NUMBERS.incrementAndGet();
        LENT.put(number, object);
        return number;
    }

    // ---- submit ----

    /** Runs a named task: "module.so:symbol", or one that a worker program has registered. */
    CompletableFuture<byte[]> call(String name, byte[] data) {
        return call(name, data, null);
    }

    /** As above; a task that runs for longer than {@code limit} has expired. */
    CompletableFuture<byte[]> call(String name, byte[] data, Duration limit) {
        PointerByReference made = new PointerByReference();
        TaskException.check(C.cfut_task_new_named(Cfutures.text(name), made));
        Pointer task = made.getValue();
        try {
            if (limit != null) {
                TaskException.check(C.cfut_task_set(task, Cfutures.TASK_RUN_TIMEOUT_NS, limit.toNanos()));
            }
            PointerByReference future = new PointerByReference();
            TaskException.check(C.cfut_submit_task(executor, task, data, data.length, future));
            return follow(new Outcome<>(future.getValue()) {
                @Override
                byte[] value() {
                    return Pool.bytes(future);
                }
            });
        } finally {
            C.cfut_task_free(task);
        }
    }

    /** Runs a function on a thread of a thread pool, which {@code cancel(true)} interrupts. */
    <T> CompletableFuture<T> submit(Callable<T> function) {
        Function<T> lent = new Function<>(function);
        PointerByReference future = new PointerByReference();
        Pointer argument = new Pointer(lend(lent)); // moved, also when the call fails
        TaskException.check(C.cfut_submit_closure(executor, RUN, argument, DROP, future));
        return follow(new Outcome<>(future.getValue()) {
            @Override
            T value() {
                return lent.value;
            }

            @Override
            public boolean cancel(boolean interrupt) {
                boolean cancelled = super.cancel(interrupt);
                if (interrupt) {
                    lent.interrupt();
                }
                return cancelled;
            }

            @Override
            Throwable failure(int status) {
                return status == Cfutures.FAILED && lent.failure != null ? lent.failure : super.failure(status);
            }
        });
    }

    private <T> CompletableFuture<T> follow(Outcome<T> outcome) {
        long tag = lend(outcome);
        int status = C.cfut_queue_add(queue, outcome.future, tag);
        if (status != Cfutures.OK) {
            LENT.remove(tag);
            C.cfut_future_release(outcome.future);
        }
        TaskException.check(status);
        return outcome;
    }

    /** A function on its way through the library. */
    private static final class Function<T> {
        private final Callable<T> function;
        private T value;
        private Throwable failure;
        /** Null before and after. */
        private Thread thread;

        Function(Callable<T> function) {
            this.function = function;
        }

        void run() {
            runIn(Thread.currentThread());
            try {
                value = function.call();
            } catch (Throwable thrown) { // no exception may leave a callback
                failure = thrown;
            }
            runIn(null);
            Thread.interrupted(); // came too late, and is not for the next task
        }

        private synchronized void runIn(Thread thread) {
            this.thread = thread;
        }

        synchronized void interrupt() {
            if (thread != null) {
                thread.interrupt();
            }
        }
    }

    private static int run(Pointer promise, Pointer argument) {
        Function<?> function = (Function<?>) LENT.get(Pointer.nativeValue(argument));
        function.run();
        if (function.failure == null) {
            return 0;
        }
        C.cfut_promise_fail(promise, 1, Cfutures.text(function.failure.toString()));
        return 1;
    }

    // ---- outcomes ----

    private void dispatch() {
        PointerByReference future = new PointerByReference();
        LongByReference tag = new LongByReference();
        do {
            if (C.cfut_queue_next(queue, Cfutures.FOREVER, future, tag) != Cfutures.OK) {
                return;
            }
            if (tag.getValue() != 0) {
                ((Outcome<?>) LENT.remove(tag.getValue())).settle();
            }
            C.cfut_future_release(future.getValue());
        } while (tag.getValue() != 0);
    }

    static byte[] bytes(Pointer future) {
        LongByReference length = new LongByReference();
        Pointer data = C.cfut_future_bytes(future, length);
        return data == null ? new byte[0] : data.getByteArray(0, Math.toIntExact(length.getValue()));
    }

    private abstract static class Outcome<T> extends CompletableFuture<T> {
        /** Null once the task has ended. */
        Pointer future;

        Outcome(Pointer future) {
            this.future = future;
        }

        /** Of a task that succeeded. */
        abstract T value();

        Throwable failure(int status) {
            if (status == Cfutures.CANCELLED) {
                return new CancellationException();
            }
            return new TaskException(status, C.cfut_future_code(future), C.cfut_future_message(future));
        }

        void settle() {
            int status = C.cfut_future_wait(future, Cfutures.NOW);
            T value = null;
            Throwable failure = null;
            try {
                if (status == Cfutures.OK) {
                    value = value();
                } else {
                    failure = failure(status);
                }
            } catch (ArithmeticException | OutOfMemoryError thrown) { // larger than an array can be
                failure = thrown;
            }
            synchronized (this) {
                C.cfut_future_release(future);
                future = null;
            }
            if (failure == null) {
                complete(value);
            } else {
                completeExceptionally(failure);
            }
        }

        /**
         * Keeps the task from starting; asks it to stop if {@code interrupt}, and kills a worker
         * process whose task does not heed that.
         */
        @Override
        public boolean cancel(boolean interrupt) {
            Pointer running;
            synchronized (this) {
                running = C.cfut_future_retain(future);
            }
            if (running != null) {
                C.cfut_future_cancel(running, interrupt ? Cfutures.CANCEL_KILL : 0);
                C.cfut_future_release(running);
            }
            return super.cancel(interrupt);
        }
    }
}
