-- cfutures for LuaJIT: tasks as futures, declarations from cfutures.ffi.h as it is.
--
--     local pool = cfutures.thread_pool { workers = 2 }
--     local future = pool:submit("./tasks.so:square", bytes)
--     local result, failure = future:result()
--     pool:shutdown()
--
-- A task is named, and works on a string of bytes. Threads run tasks of shared objects: a Lua state
-- belongs to one thread, and no other may call it. Processes run those as well, and functions of a
-- worker that is LuaJIT itself: a script that calls cfutures.serve { name = function ... }.
--
-- What did not succeed is nil and a table: status ("CFUT_FAILED"), message, code; of a crash pid, signal
-- and exit_code. A wrong use of the library is an error. Times are seconds.
--
-- CFUT_HEADERS is the directory of cfutures.ffi.h, CFUT_LIBRARY the library, if they are not where
-- the system has them.

local ffi = require "ffi"

local header = (os.getenv "CFUT_HEADERS" or "/usr/local/include") .. "/cfutures.ffi.h"
ffi.cdef(assert(io.open(header)):read "*a")
local C = ffi.load(os.getenv "CFUT_LIBRARY" or "cfutures")
assert(C.cfut_version_number() == C.CFUT_VERSION_NUMBER, "library and header are of different versions")

local M = {}

local function status_name(status)
    return ffi.string(C.cfut_status_name(status))
end

-- Refused calls are errors, with the library's own words.
local function check(status)
    if status < 0 or status == C.CFUT_BROKEN then
        local text = ffi.new "char[512]"
        C.cfut_last_error(text, 512)
        error(status_name(status) .. ": " .. ffi.string(text), 3)
    end
    return status
end

-- The handle that a constructor puts into its last parameter; it is given back when it is garbage.
local function made(kind, release, constructor, ...)
    local out = ffi.new("cfut_" .. kind .. " *[1]")
    local arguments = { ... }
    arguments[#arguments + 1] = out
    check(constructor(unpack(arguments)))
    return ffi.gc(out[0], release)
end

local function nanoseconds(seconds)
    return seconds and math.max(0, seconds) * 1e9 or C.CFUT_FOREVER
end

-- ---- Futures ----

local Future = {}
Future.__index = Future

local function info(handle, key)
    local out = ffi.new "int64_t[1]"
    check(C.cfut_future_info(handle, key, out))
    return tonumber(out[0])
end

-- The result's bytes, or nil and why there are none. A wait that is too short: status CFUT_TIMEOUT.
function Future:result(timeout)
    local handle = self.handle
    local status = C.cfut_future_wait(handle, nanoseconds(timeout))
    if status < 0 then
        check(status)
    end
    local length = ffi.new "size_t[1]"
    if status == C.CFUT_OK then
        local bytes = C.cfut_future_bytes(handle, length)
        return length[0] > 0 and ffi.string(bytes, length[0]) or ""
    end
    local failure = {
        status = status_name(status),
        message = ffi.string(C.cfut_future_message(handle)),
        code = C.cfut_future_code(handle),
    }
    if status == C.CFUT_CRASHED then
        failure.pid = info(handle, C.CFUT_INFO_WORKER_PID)
        failure.signal = info(handle, C.CFUT_INFO_SIGNAL)
        failure.exit_code = info(handle, C.CFUT_INFO_EXIT_CODE)
    end
    return nil, failure
end

function Future:done()
    return C.cfut_future_wait(self.handle, 0) ~= C.CFUT_TIMEOUT
end

function Future:running()
    return C.cfut_future_state(self.handle) == C.CFUT_STATE_RUNNING
end

-- Cancels what has not started. What runs is asked to "stop", or its process is "kill"ed as well.
-- True: it is cancelled, or asked to.
function Future:cancel(how)
    local modes = { stop = C.CFUT_CANCEL_STOP, kill = C.CFUT_CANCEL_KILL }
    local mode = how and assert(modes[how], "stop or kill") or C.CFUT_CANCEL_PENDING
    return check(C.cfut_future_cancel(self.handle, mode)) ~= C.CFUT_TOO_LATE
end

-- ---- Completion queues: the way to any event loop ----

local Queue = {}
Queue.__index = Queue

function M.queue()
    local handle = made("queue", C.cfut_queue_release, C.cfut_queue_new)
    return setmetatable({ handle = handle, waiting = {}, last = 0 }, Queue)
end

-- The future comes out once it is settled, with the value that it was added with.
function Queue:add(future, value)
    self.last = self.last + 1
    self.waiting[self.last] = { future, value }
    check(C.cfut_queue_add(self.handle, future.handle, self.last))
end

-- The next future and its value; nil and "CFUT_END" (nothing is outstanding) or "CFUT_TIMEOUT".
function Queue:next(timeout)
    local tag = ffi.new "uint64_t[1]"
    local status = check(C.cfut_queue_next(self.handle, nanoseconds(timeout), nil, tag))
    if status ~= C.CFUT_OK then
        return nil, status_name(status)
    end
    local number = tonumber(tag[0])
    local future, value = unpack(self.waiting[number])
    self.waiting[number] = nil
    return future, value
end

-- A descriptor that is readable while next(0) has something: for poll and event loops.
function Queue:descriptor()
    local fd = ffi.new "int[1]"
    check(C.cfut_queue_fd(self.handle, fd))
    return fd[0]
end

-- for future in as_completed(futures) do ... end
function M.as_completed(futures)
    local queue = M.queue()
    for _, future in ipairs(futures) do
        queue:add(future)
    end
    return function() return (queue:next()) end
end

-- Runs functions as coroutines, until all have ended: in them await(future) is as future:result(),
-- and the others go on meanwhile.
M.await = coroutine.yield

function M.run(...)
    local queue = M.queue()
    local function go_on(routine, ...)
        local good, future = coroutine.resume(routine, ...)
        if not good then
            error(debug.traceback(routine, future), 0)
        elseif coroutine.status(routine) ~= "dead" then
            queue:add(future, routine)
        end
    end
    for _, body in ipairs { ... } do
        go_on(coroutine.create(body))
    end
    while true do
        local future, routine = queue:next()
        if not future then
            return
        end
        go_on(routine, future:result(0))
    end
end

-- ---- Executors ----

local OPTIONS = {
    workers = "WORKERS", min_workers = "MIN_WORKERS", queue_limit = "QUEUE_LIMIT",
    tasks_per_worker = "TASKS_PER_WORKER", memory_limit = "MEMORY_LIMIT",
    cpu_time_limit = "CPU_TIME_LIMIT",
}
local TIMES = {
    queue_timeout = "QUEUE_TIMEOUT_NS", run_timeout = "RUN_TIMEOUT_NS",
    total_timeout = "TOTAL_TIMEOUT_NS", grace = "GRACE_NS",
}
local NUMBERS = { priority = "PRIORITY", attempts = "ATTEMPTS", output_limit = "OUTPUT_LIMIT" }

local Pool = {}
Pool.__index = Pool

local function pool(constructor, options)
    local builder = ffi.gc(C.cfut_options_new(), C.cfut_options_free)
    for name, value in pairs(options or {}) do
        if name == "worker" then -- a script
            local this = "/proc/self/exe" -- the interpreter that runs this script
            check(C.cfut_options_set_text(builder, C.CFUT_OPT_WORKER_PROGRAM, this))
            check(C.cfut_options_add_worker_arg(builder, value))
        else
            local key = OPTIONS[name] or error("no option " .. name, 3)
            check(C.cfut_options_set(builder, C["CFUT_OPT_" .. key], value))
        end
    end
    local handle = made("executor", C.cfut_executor_release, constructor, builder)
    return setmetatable({ handle = handle }, Pool)
end

function M.thread_pool(options)
    return pool(C.cfut_thread_pool_new, options)
end

function M.process_pool(options)
    return pool(C.cfut_process_pool_new, options)
end

function Pool:submit(name, data, options)
    local task = made("task", C.cfut_task_free, C.cfut_task_new_named, name)
    for option, value in pairs(options or {}) do
        if TIMES[option] then
            check(C.cfut_task_set(task, C["CFUT_TASK_" .. TIMES[option]], value * 1e9))
        else
            local key = NUMBERS[option] or error("no option " .. option .. " of a task", 2)
            check(C.cfut_task_set(task, C["CFUT_TASK_" .. key], value))
        end
    end
    data = data or ""
    local handle = made("future", C.cfut_future_release, C.cfut_submit_task, self.handle, task, data, #data)
    return setmetatable({ handle = handle }, Future)
end

-- Waits until all is done; `cancel`: what has not started is cancelled.
function Pool:shutdown(cancel)
    local flags = cancel and C.CFUT_SHUTDOWN_CANCEL or 0
    check(C.cfut_executor_shutdown(self.handle, flags, C.CFUT_FOREVER))
end

-- ---- A worker in LuaJIT ----

local current -- the promise of the task that runs

-- In a task: whether it is asked to stop. It agrees by returning nil.
function M.stop_requested()
    return current ~= nil and C.cfut_promise_stop_requested(current) == 1
end

local function task(body)
    return function(promise, data, length)
        current = promise
        -- No error may leave a callback.
        local good, result = pcall(body, length > 0 and ffi.string(data, length) or "")
        current = nil
        if good and result == nil and C.cfut_promise_stop_requested(promise) == 1 then
            C.cfut_promise_set_cancelled(promise)
            return 0
        elseif good then
            result = tostring(result)
            return C.cfut_promise_set_bytes(promise, result, #result)
        end
        C.cfut_promise_fail(promise, 1, tostring(result))
        return 1
    end
end

-- Makes of this script a worker whose tasks are these functions, from a string to a string. They run in
-- the thread that calls this, so a Lua state is enough. Code that is called back must not be called
-- from compiled code: the loop below is not compiled.
function M.serve(functions)
    for name, body in pairs(functions) do
        check(C.cfut_register(name, ffi.cast("cfut_task_fn", task(body))))
    end
    check(C.cfut_worker_run())
end
jit.off(M.serve)

return M
