'use strict';
// cfutures for Node: tasks as promises, by koffi (npm install koffi@3).
//
//     const pool = new ProcessPool({ worker: require.resolve('./worker.js') });
//     console.log(await pool.call('square', 12));
//     await pool.shutdown();
//
// A ThreadPool runs tasks of shared objects, "tasks.so:square": JavaScript has one thread, and no
// other one may call it. A ProcessPool runs those as well, and functions of a worker that is Node
// itself: a program that calls serve({ square, ... }).
//
// Outcomes come through the descriptor of a completion queue, which the event loop watches. The
// library is the one that CFUT_LIBRARY names, else where the system looks.

const fs = require('node:fs');
const net = require('node:net');
const { promisify } = require('node:util');
const v8 = require('node:v8');
const koffi = require('koffi');

const OK = 0, CANCELLED = 3, FAILED = 4, CRASHED = 5, BROKEN = 7;
const CANCEL_KILL = 2, SHUTDOWN_CANCEL = 1, FOREVER = -1;

// ---- The library ----

const lib = koffi.load(process.env.CFUT_LIBRARY || 'libcfutures.so.0.1');
koffi.proto('int32_t cfut_task_fn(void *promise, void *data, size_t len)');
const c = {};
for (const prototype of [
    'uint32_t cfut_version_number()',
    'size_t cfut_last_error(_Out_ uint8_t *buf, size_t cap)',
    'const char *cfut_status_name(int32_t status)',
    'void *cfut_options_new()',
    'void cfut_options_free(void *options)',
    'int32_t cfut_options_set(void *options, int32_t key, int64_t value)',
    'int32_t cfut_options_set_text(void *options, int32_t key, const char *text)',
    'int32_t cfut_options_add_worker_arg(void *options, const char *arg)',
    'int32_t cfut_thread_pool_new(void *options, _Out_ void **out)',
    'int32_t cfut_process_pool_new(void *options, _Out_ void **out)',
    'int32_t cfut_executor_shutdown(void *executor, uint32_t flags, int64_t timeout_ns)',
    'void cfut_executor_release(void *executor)',
    'int32_t cfut_task_new_named(const char *name, _Out_ void **out)',
    'int32_t cfut_task_set(void *task, int32_t key, int64_t value)',
    'void cfut_task_free(void *task)',
    'int32_t cfut_submit_task(void *executor, void *task, void *data, size_t len, _Out_ void **out)',
    'int32_t cfut_future_wait(void *future, int64_t timeout_ns)',
    'int32_t cfut_future_cancel(void *future, uint32_t mode)',
    'void *cfut_future_bytes(void *future, _Out_ size_t *len)',
    'int32_t cfut_future_code(void *future)',
    'const char *cfut_future_message(void *future)',
    'int32_t cfut_future_info(void *future, int32_t key, _Out_ int64_t *out)',
    'void cfut_future_release(void *future)',
    'int32_t cfut_queue_new(_Out_ void **out)',
    'int32_t cfut_queue_add(void *queue, void *future, uint64_t tag)',
    'int32_t cfut_queue_next(void *queue, int64_t timeout_ns, void *future, _Out_ uint64_t *tag)',
    'int32_t cfut_queue_fd(void *queue, _Out_ int *fd)',
    'int32_t cfut_promise_set_bytes(void *promise, void *data, size_t len)',
    'int32_t cfut_promise_fail_bytes(void *promise, int32_t code, const char *message, void *data, size_t len)',
    'int32_t cfut_promise_set_cancelled(void *promise)',
    'int32_t cfut_promise_stop_requested(void *promise)',
    'int32_t cfut_register(const char *name, cfut_task_fn *fn)',
    'int32_t cfut_worker_run()',
]) {
    c[/cfut_(\w+)\(/.exec(prototype)[1]] = lib.func(prototype);
}
if (c.version_number() >> 8 !== 0x0001)
    throw new Error(`cfutures.js is for libcfutures 0.1, not ${c.version_number().toString(16)}`);

/** A call that the library refused, with its own words. */
class CallError extends Error {
    constructor(status) {
        const text = Buffer.alloc(512);
        const length = c.last_error(text, text.length);
        super(`${c.status_name(status)}: ${text.toString('utf8', 0, length)}`);
        this.name = 'CallError';
        this.status = status;
    }
}

/** A task that has no result; `code` is the library's name of how it ended. */
class TaskError extends Error {
    constructor(code, message, details) {
        super(message);
        this.name = 'TaskError';
        Object.assign(this, { code, ...details });
    }
}

function check(status) {
    if (status < 0 || status === BROKEN)
        throw new CallError(status);
    return status;
}

/** The handle that a constructor puts into its last parameter. */
function made(constructor, ...given) {
    const out = [null];
    check(constructor(...given, out));
    return out[0];
}

function bytesAt(address, length) {
    return length === 0 ? Buffer.alloc(0) : Buffer.from(koffi.decode(address, 'uint8_t', length));
}

// ---- From the library to the event loop ----

/** Settles a promise for each future that comes out of the queue. */
class Completions {
    #queue = made(c.queue_new);
    #waiting = new Map();
    #tag = 0;
    #socket;

    constructor() {
        const fd = [0];
        check(c.queue_fd(this.#queue, fd));
        // The pipe, opened again, for a socket closes what it is given. What it reads means
        // nothing: the header says that it may, if the queue is emptied each time.
        const own = fs.openSync(`/proc/self/fd/${fd[0]}`, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
        this.#socket = new net.Socket({ fd: own, readable: true, writable: false });
        this.#socket.on('data', () => this.#deliver());
        this.#socket.unref();
    }

    /** Until the future is settled. A program that waits for one is not at its end. */
    settled(future) {
        return new Promise((resolve) => {
            this.#tag += 1;
            check(c.queue_add(this.#queue, future, this.#tag));
            this.#waiting.set(this.#tag, resolve);
            this.#socket.ref();
        });
    }

    #deliver() {
        const tag = [0];
        while (check(c.queue_next(this.#queue, 0, null, tag)) === OK) {
            this.#waiting.get(Number(tag[0]))();
            this.#waiting.delete(Number(tag[0]));
        }
        if (this.#waiting.size === 0)
            this.#socket.unref();
    }

    static #one;
    static get one() {
        return Completions.#one ??= new Completions();
    }
}

function info(future, key) {
    const value = [0];
    check(c.future_info(future, key, value));
    return Number(value[0]);
}

function result(future) {
    const length = [0];
    const address = c.future_bytes(future, length);
    return bytesAt(address, Number(length[0]));
}

/** What a settled future is to a promise: its bytes, or an exception. */
function outcome(future, signal) {
    const status = c.future_wait(future, 0);
    const message = c.future_message(future);
    switch (status) {
    case OK:
        return result(future);
    case FAILED:
        throw new TaskError('CFUT_FAILED', message, { number: c.future_code(future), details: result(future) });
    case CRASHED:
        throw new TaskError('CFUT_CRASHED', message,
            { pid: info(future, 4), exitCode: info(future, 5), signal: info(future, 6) });
    case CANCELLED:
        throw signal?.aborted ? signal.reason : new TaskError('CFUT_CANCELLED', 'cancelled');
    default:
        throw new TaskError(c.status_name(status), message);
    }
}

// ---- Executors ----

const OPTIONS = {
    workers: 1, minWorkers: 2, queueLimit: 4, tasksPerWorker: 10, memoryLimit: 12, cpuTimeLimit: 13,
};
// Times are milliseconds, as everywhere in Node.
const TASK_TIMES = { queueTimeout: 1, runTimeout: 2, totalTimeout: 3, grace: 4 };
const TASK_NUMBERS = { priority: 5, attempts: 6, outputLimit: 9 };

class Pool {
    #handle;

    constructor(constructor, { worker, ...options }) {
        const builder = c.options_new();
        try {
            for (const [name, value] of Object.entries(options)) {
                if (!(name in OPTIONS))
                    throw new TypeError(`no option ${name}; there are ${Object.keys(OPTIONS).join(', ')}`);
                check(c.options_set(builder, OPTIONS[name], value));
            }
            if (worker !== undefined) {
                check(c.options_set_text(builder, 65, process.execPath));
                for (const argument of [...process.execArgv, worker])
                    check(c.options_add_worker_arg(builder, argument));
            }
            this.#handle = made(constructor, builder);
        } finally {
            c.options_free(builder);
        }
    }

    /** A task that works on bytes; a promise of bytes. */
    submit(name, data = Buffer.alloc(0), { signal, ...options } = {}) {
        return this.#submit(name, data, signal, options);
    }

    async #submit(name, data, signal, options) {
        signal?.throwIfAborted();
        const future = this.#future(name, data, options);
        // Threads cannot be killed: there, and with no more than that, the task is asked to stop.
        const cancel = () => c.future_cancel(future, CANCEL_KILL);
        signal?.addEventListener('abort', cancel, { once: true });
        try {
            await Completions.one.settled(future);
            return outcome(future, signal);
        } finally {
            signal?.removeEventListener('abort', cancel);
            c.future_release(future);
        }
    }

    #future(name, data, options) {
        const task = made(c.task_new_named, name);
        try {
            for (const [option, value] of Object.entries(options)) {
                if (option in TASK_TIMES)
                    check(c.task_set(task, TASK_TIMES[option], Math.round(value * 1e6)));
                else if (option in TASK_NUMBERS)
                    check(c.task_set(task, TASK_NUMBERS[option], value));
                else
                    throw new TypeError(`no option ${option} of a task`);
            }
            return made(c.submit_task, this.#handle, task, data, data.length);
        } finally {
            c.task_free(task);
        }
    }

    /** Resolves when all is done; `cancel`: what has not started is cancelled. */
    async shutdown({ cancel = false } = {}) {
        const wait = promisify(c.executor_shutdown.async); // in a thread of koffi's
        check(await wait(this.#handle, cancel ? SHUTDOWN_CANCEL : 0, FOREVER));
        c.executor_release(this.#handle);
        this.#handle = null;
    }
}

class ThreadPool extends Pool {
    constructor(options = {}) {
        super(c.thread_pool_new, options);
    }
}

class ProcessPool extends Pool {
    /** `worker`: path of a program that calls serve(); without it tasks are those of shared objects. */
    constructor(options = {}) {
        super(c.process_pool_new, options);
    }

    /** Calls a function of the worker; what is given and answered is cloned. An exception is that
     * of the function, with where it was thrown there. */
    async call(name, ...given) {
        return this.callWith({}, name, ...given);
    }

    /** The same with options: signal, runTimeout, ... */
    async callWith(options, name, ...given) {
        try {
            return v8.deserialize(await this.submit(name, v8.serialize(given), options));
        } catch (error) {
            throw error instanceof TaskError && error.details?.length ? v8.deserialize(error.details) : error;
        }
    }
}

/** Promises in the order they settle: { index, status, value or reason }, as of Promise.allSettled. */
async function* asCompleted(promises) {
    const done = [];
    let wake = () => {};
    const all = [...promises];
    all.forEach((promise, index) => {
        Promise.allSettled([promise]).then(([how]) => {
            done.push({ index, ...how });
            wake();
        });
    });
    for (let seen = 0; seen < all.length; seen++) {
        while (done.length === 0)
            await new Promise((resolve) => { wake = resolve; });
        yield done.shift();
    }
}

// ---- A worker in Node ----

let current = null; // the promise of the task that runs

/** In a task: whether it is asked to stop, by a cancel or a time-out. It agrees by returning
 * nothing. */
function stopRequested() {
    return current !== null && c.promise_stop_requested(current) === 1;
}

/** Nothing, if it cannot be cloned; the message is left. */
function cloned(error) {
    try {
        return v8.serialize(error);
    } catch {
        return Buffer.alloc(0);
    }
}

function run(call, promise, data, length) {
    current = promise;
    try {
        const value = call(...v8.deserialize(bytesAt(data, Number(length))));
        if (typeof value?.then === 'function')
            throw new TypeError('a task of a worker answers by returning, not by a promise');
        if (stopRequested() && value === undefined) {
            check(c.promise_set_cancelled(promise));
            return 0;
        }
        const bytes = v8.serialize(value);
        return c.promise_set_bytes(promise, bytes, bytes.length);
    } catch (error) {
        const details = cloned(error);
        c.promise_fail_bytes(promise, 1, String(error), details, details.length);
        return 1;
    } finally {
        current = null;
    }
}

/** Makes of this program a worker with these functions. They are called in the main thread, one
 * after the other, with the event loop standing still: they return their result, or throw. */
function serve(functions) {
    for (const [name, call] of Object.entries(functions)) {
        const callback = koffi.register(run.bind(null, call), 'cfut_task_fn *');
        check(c.register(name, callback));
    }
    check(c.worker_run());
    process.exit();
}

module.exports = { ThreadPool, ProcessPool, CallError, TaskError, asCompleted, serve, stopRequested };
