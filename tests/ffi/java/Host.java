import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * A host in Java: functions on a pool of threads, named tasks on threads and in processes, and worker
 * processes that run {@link Worker}. CFUT_TASKS is the shared object made of tasks.c.
 *
 * <pre>
 * javac -cp /usr/share/java/jna.jar -d out *.java
 * CFUT_TASKS=./tasks.so LD_LIBRARY_PATH=../../../target/release java -cp /usr/share/java/jna.jar:out Host
 * </pre>
 */
final class Host {
    private static final String TASKS = Objects.requireNonNull(System.getenv("CFUT_TASKS"), "CFUT_TASKS is not set");

    public static void main(String[] arguments) throws Exception {
        onThreads();
        inProcesses();
        inJavaProcesses();
        manyTasks();
        System.out.println("ok");
    }

    // ---- arguments and results of tasks.c ----

    /** As those tasks want their argument: an int64_t. */
    static byte[] number(long n) {
        return ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(n).array();
    }

    static long number(byte[] data) {
        return ByteBuffer.wrap(data).order(ByteOrder.LITTLE_ENDIAN).getLong();
    }

    static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static CompletableFuture<Long> square(Pool pool, long n) {
        return pool.call(TASKS + ":square", number(n)).thenApply(Host::number);
    }

    // ---- what there is to see ----

    /** Shows a line, and ends the program if it is not the one that was expected. */
    static void show(String what, Object got, Object wanted) {
        System.out.println(what + ": " + got);
        if (!got.equals(wanted)) {
            throw new AssertionError(what + ": wanted " + wanted);
        }
    }

    /** What a task without a result ended with. */
    static Throwable failure(CompletableFuture<?> future) {
        try {
            return new AssertionError("succeeded: " + future.join());
        } catch (CompletionException thrown) {
            return thrown.getCause();
        } catch (CancellationException thrown) {
            return thrown;
        }
    }

    static void onThreads() throws Exception {
        try (Pool pool = Pool.ofThreads(4)) {
            show("square of 12", square(pool, 12).join(), 144L);
            show("a failure", failure(pool.call(TASKS + ":fail", utf8("no such caf\u00e9"))).getMessage(),
                    "CFUT_FAILED 42: no such caf\u00e9");
            show("a function", pool.submit(() -> "hello".toUpperCase()).join(), "HELLO");
            show("its own exception", failure(pool.submit(() -> Files.size(Path.of("/nonexistent")))).getClass(),
                    NoSuchFileException.class);
            show("chained", square(pool, 3).thenCompose(n -> square(pool, n)).join(), 81L);

            CompletableFuture<byte[]> lingering = pool.call(TASKS + ":linger", new byte[0]);
            try {
                lingering.get(20, TimeUnit.MILLISECONDS);
            } catch (java.util.concurrent.TimeoutException thrown) {
                show("after the time-out of a wait it goes on", !lingering.isDone(), true);
            }
            lingering.cancel(true);
            show("cancelled", failure(lingering).getClass(), CancellationException.class);
            CountDownLatch sleeps = new CountDownLatch(1);
            BlockingQueue<String> told = new LinkedBlockingQueue<>();
            CompletableFuture<Boolean> sleeping = pool.submit(() -> {
                sleeps.countDown();
                try {
                    Thread.sleep(600_000);
                    return told.add("slept");
                } catch (InterruptedException thrown) {
                    return told.add("interrupted");
                }
            });
            sleeps.await();
            sleeping.cancel(true);
            show("a function that is cancelled", told.take(), "interrupted");
            TaskException expired = (TaskException) failure(
                    pool.call(TASKS + ":linger", new byte[0], Duration.ofMillis(20)));
            show("time-out of a task", expired.status, Cfutures.EXPIRED);

            BlockingQueue<Long> completed = new LinkedBlockingQueue<>();
            for (long n = 1; n <= 5; n++) {
                square(pool, n).thenAccept(completed::add);
            }
            long sum = 0;
            for (int i = 0; i < 5; i++) {
                sum += completed.take();
            }
            show("as completed, a sum", sum, 55L);
        }
    }

    static void inProcesses() {
        try (Pool pool = Pool.ofProcesses(2)) {
            show("in a process", square(pool, 12).join(), 144L);
            TaskException crashed = (TaskException) failure(pool.call(TASKS + ":crash", new byte[0]));
            show("a crash", crashed.status, Cfutures.CRASHED);
            show("by", crashed.getMessage().contains("SIGSEGV"), true);
            show("the pool goes on", square(pool, 13).join(), 169L);
        }
    }

    static void inJavaProcesses() {
        String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
        String[] command = {java, "-XX:TieredStopAtLevel=1", "-cp", System.getProperty("java.class.path"), "Worker"};
        try (Pool pool = Pool.ofProcesses(1, command)) {
            byte[] reversed = pool.call("reverse", utf8("caf\u00e9")).join();
            show("reversed in Java", new String(reversed, StandardCharsets.UTF_8), "\u00e9fac");
            show("an exception in Java", failure(pool.call("refuse", utf8("caf\u00e9"))).getMessage(),
                    "CFUT_FAILED 1: java.lang.IllegalArgumentException: caf\u00e9 is not wanted");
            TaskException left = (TaskException) failure(pool.call("leave", new byte[0]));
            show("a worker that leaves", left.status, Cfutures.CRASHED);
            show("another one", pool.call("reverse", utf8("abc")).join().length, 3);
        }
    }

    /** Nothing stays behind. */
    static void manyTasks() throws Exception {
        long differences = 0;
        long before = 0;
        try (Pool threads = Pool.ofThreads(4); Pool processes = Pool.ofProcesses(2)) {
            for (int round = 0; round < 10; round++) {
                List<CompletableFuture<Long>> all = new ArrayList<>();
                for (long n = 0; n < 1000; n++) {
                    long number = n;
                    all.add(square(processes, n));
                    all.add(threads.submit(() -> -number * number));
                }
                for (CompletableFuture<Long> future : all) {
                    differences += future.join();
                }
                if (round == 4) { // the compilers of the virtual machine have most of their memory by now
                    before = residentKib();
                }
            }
        }
        show("10000 tasks on each, differences", differences, 0L);
        show("objects left", Pool.lent(), 0);
        show("grown by less than 64 MiB", residentKib() - before < 64 << 10, true);
    }

    static long residentKib() throws Exception {
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("VmRSS:")) {
                return Long.parseLong(line.replaceAll("[^0-9]", ""));
            }
        }
        throw new AssertionError("no VmRSS");
    }
}
