import com.sun.jna.Callback;
import com.sun.jna.Library;
import com.sun.jna.Native;
import com.sun.jna.Pointer;
import com.sun.jna.ptr.LongByReference;
import com.sun.jna.ptr.PointerByReference;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/** What {@link Pool} and {@link Worker} use of cfutures.h. A size_t is a long here: 64 bits. */
interface Cfutures extends Library {
    Cfutures LIBRARY = Native.load("cfutures", Cfutures.class,
            Map.of(Library.OPTION_STRING_ENCODING, "UTF-8"));

    int OK = 0, CANCELLED = 3, FAILED = 4, CRASHED = 5, EXPIRED = 6, BROKEN = 7;
    long FOREVER = -1, NOW = 0;
    int OPT_WORKERS = 1, OPT_NAME = 64, OPT_WORKER_PROGRAM = 65;
    int TASK_RUN_TIMEOUT_NS = 2;
    int CANCEL_KILL = 2;

    interface Closure extends Callback {
        int run(Pointer promise, Pointer argument);
    }

    interface Free extends Callback {
        void free(Pointer argument);
    }

    interface Task extends Callback {
        int run(Pointer promise, Pointer data, long length);
    }

    /**
     * As the library wants a text. JNA's own conversion of a String that is a parameter uses the encoding
     * of the system, whatever STRING_ENCODING says; that of a result is good.
     */
    static byte[] text(String text) {
        return (text + "\0").getBytes(StandardCharsets.UTF_8);
    }

    String cfut_status_name(int status);
    long cfut_last_error(byte[] text, long capacity);

    Pointer cfut_options_new();
    int cfut_options_set(Pointer options, int key, long value);
    int cfut_options_set_text(Pointer options, int key, byte[] text);
    int cfut_options_add_worker_arg(Pointer options, byte[] argument);
    void cfut_options_free(Pointer options);

    int cfut_thread_pool_new(Pointer options, PointerByReference executor);
    int cfut_process_pool_new(Pointer options, PointerByReference executor);
    int cfut_executor_shutdown(Pointer executor, int flags, long timeoutNs);
    void cfut_executor_release(Pointer executor);

    int cfut_task_new_named(byte[] name, PointerByReference task);
    int cfut_task_set(Pointer task, int key, long value);
    void cfut_task_free(Pointer task);
    int cfut_submit_task(Pointer executor, Pointer task, byte[] data, long length, PointerByReference future);
    int cfut_submit_closure(Pointer executor, Closure closure, Pointer argument, Free free, PointerByReference future);

    Pointer cfut_future_retain(Pointer future);
    int cfut_future_wait(Pointer future, long timeoutNs);
    Pointer cfut_future_bytes(Pointer future, LongByReference length);
    int cfut_future_code(Pointer future);
    String cfut_future_message(Pointer future);
    int cfut_future_cancel(Pointer future, int mode);
    void cfut_future_release(Pointer future);

    int cfut_queue_new(PointerByReference queue);
    int cfut_queue_add(Pointer queue, Pointer future, long tag);
    int cfut_queue_next(Pointer queue, long timeoutNs, PointerByReference future, LongByReference tag);
    void cfut_queue_release(Pointer queue);

    int cfut_promise_new(PointerByReference promise, PointerByReference future);
    int cfut_promise_set_bytes(Pointer promise, byte[] data, long length);
    int cfut_promise_fail(Pointer promise, int code, byte[] message);
    void cfut_promise_release(Pointer promise);

    int cfut_register(byte[] name, Task task);
    int cfut_worker_run();
}
