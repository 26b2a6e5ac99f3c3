import com.sun.jna.Pointer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;

/** A worker program in Java: its functions are tasks for the pools of other programs. */
final class Worker {
    private static final Cfutures C = Cfutures.LIBRARY;

    /** The library has only their addresses. */
    private static final List<Cfutures.Task> KEPT = new ArrayList<>();

    public static void main(String[] arguments) {
        register("reverse", text -> new StringBuilder(text).reverse().toString());
        register("refuse", text -> {
            throw new IllegalArgumentException(text + " is not wanted");
        });
        register("leave", text -> {
            Runtime.getRuntime().halt(3);
            return text;
        });
        TaskException.check(C.cfut_worker_run());
    }

    /** Gives a function from text to text a name that pools call it by. */
    static void register(String name, UnaryOperator<String> function) {
        Cfutures.Task task = (promise, data, length) -> run(promise, data, length, function);
        KEPT.add(task);
        TaskException.check(C.cfut_register(Cfutures.text(name), task));
    }

    private static int run(Pointer promise, Pointer data, long length, UnaryOperator<String> function) {
        try {
            byte[] input = length == 0 ? new byte[0] : data.getByteArray(0, Math.toIntExact(length));
            String result = function.apply(new String(input, StandardCharsets.UTF_8));
            byte[] output = result.getBytes(StandardCharsets.UTF_8);
            return C.cfut_promise_set_bytes(promise, output, output.length);
        } catch (Throwable thrown) { // no exception may leave a callback
            C.cfut_promise_fail(promise, 1, Cfutures.text(thrown.toString()));
            return 1;
        }
    }
}
