/** A call that was refused, or a task without a result. */
final class TaskException extends RuntimeException {
    private static final long serialVersionUID = 1;

    final int status;
    final int code;

    TaskException(int status, int code, String message) {
        super(Cfutures.LIBRARY.cfut_status_name(status)
                + (status == Cfutures.FAILED ? " " + code : "") + ": " + message);
        this.status = status;
        this.code = code;
    }

    /** The library's own words for a negative status, and for the refusal of a broken pool. */
    static void check(int status) {
        if (status >= 0 && status != Cfutures.BROKEN) {
            return;
        }
        byte[] text = new byte[512];
        int length = (int) Cfutures.LIBRARY.cfut_last_error(text, text.length);
        throw new TaskException(status, 0, new String(text, 0, length, java.nio.charset.StandardCharsets.UTF_8));
    }
}
