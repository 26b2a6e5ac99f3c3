-- What cfutures.lua promises, checked one after the other. luajit test.lua [NAME...]
local cfutures = require "cfutures"
local ffi = require "ffi"

ffi.cdef [[
typedef struct { int fd; short events, revents; } pollfd;
int poll(pollfd *fds, unsigned long count, int timeout_ms);
int fcntl(int fd, int command, ...);
]]

local TASKS = assert(os.getenv "CFUT_TASKS", "CFUT_TASKS is not set")

local KINDS = {
    function() return cfutures.thread_pool { workers = 2 } end,
    function() return cfutures.process_pool { workers = 2 } end, -- cfutures-worker
    function() return cfutures.process_pool { workers = 2, worker = "worker.lua" } end,
}

local function bytes(n)
    return ffi.string(ffi.new("int64_t[1]", n), 8)
end

local function number(text)
    return tonumber(ffi.cast("const int64_t *", text)[0])
end

local function equal(a, b)
    if a ~= b then
        error(("%s is not %s"):format(tostring(a), tostring(b)), 2)
    end
end

local function fails(future, status, words)
    local result, failure = future:result()
    equal(result, nil)
    equal(failure.status, status)
    assert(failure.message:find(words or "", 1, true), failure.message)
    return failure
end

local function refuses(words, call, ...)
    local good, text = pcall(call, ...)
    assert(not good and text:find(words, 1, true), tostring(text))
end

local function each_kind(use)
    return function()
        for _, make in ipairs(KINDS) do
            local pool = make()
            use(pool)
            pool:shutdown()
        end
    end
end

local function in_lua(use)
    return function()
        local pool = KINDS[3]()
        use(pool)
        pool:shutdown()
    end
end

-- Two tasks that run until they are asked to stop: no other one can begin.
local function occupy(pool)
    local busy = { pool:submit(TASKS .. ":linger"), pool:submit(TASKS .. ":linger") }
    for _, future in ipairs(busy) do
        while not future:running() do end
    end
    return busy
end

local tests, names = {}, {}
setmetatable(tests, { __newindex = function(table, name, test)
    names[#names + 1] = name
    rawset(table, name, test)
end })

tests.results = each_kind(function(pool)
    local futures = {}
    for n = 1, 500 do
        futures[n] = pool:submit(TASKS .. ":square", bytes(n))
    end
    for n, future in ipairs(futures) do
        equal(number(future:result()), n * n)
    end
    local big = ("x"):rep(3000000)
    equal(pool:submit(TASKS .. ":echo", big):result(), big)
    equal(pool:submit(TASKS .. ":echo", "a\0b"):result(), "a\0b")
    equal(pool:submit(TASKS .. ":echo"):result(60), "")
end)

tests.failures = each_kind(function(pool)
    equal(fails(pool:submit(TASKS .. ":fail", "zu groß"), "CFUT_FAILED", "zu groß").code, 42)
    fails(pool:submit(TASKS .. ":square", "?"), "CFUT_FAILED", "wanted: an int64_t")
    refuses("CFUT_EINVAL", pool.submit, pool, "")
    refuses("no option speed", pool.submit, pool, "x", "", { speed = 9 })
end)

tests.time_outs = each_kind(function(pool)
    local future = pool:submit(TASKS .. ":linger")
    local result, failure = future:result(0.01)
    assert(result == nil and failure.status == "CFUT_TIMEOUT" and not future:done())
    assert(future:cancel "stop")
    fails(future, "CFUT_CANCELLED")
    fails(pool:submit(TASKS .. ":linger", "", { run_timeout = 0.02 }), "CFUT_EXPIRED")
    local busy = occupy(pool)
    fails(pool:submit(TASKS .. ":echo", "", { queue_timeout = 0.01 }), "CFUT_EXPIRED")
    for _, future in ipairs(busy) do future:cancel "stop" end
end)

tests.cancel = each_kind(function(pool)
    local busy = occupy(pool)
    local waiting = pool:submit(TASKS .. ":echo")
    assert(waiting:cancel())
    fails(waiting, "CFUT_CANCELLED")
    assert(not busy[1]:cancel())
    for _, future in ipairs(busy) do
        assert(future:cancel "stop")
        fails(future, "CFUT_CANCELLED")
    end
    refuses("stop or kill", busy[1].cancel, busy[1], "halt")
end)

tests.completions = each_kind(function(pool)
    local slow, fast = pool:submit(TASKS .. ":linger"), pool:submit(TASKS .. ":echo", "fast")
    local order = {}
    for future in cfutures.as_completed { slow, fast, slow } do
        order[#order + 1] = future
        slow:cancel "stop"
    end
    assert(#order == 3 and order[1] == fast and order[2] == slow and order[3] == slow)
end)

-- What an event loop does: it polls the descriptor, then takes all there is.
tests.descriptor = each_kind(function(pool)
    local queue = cfutures.queue()
    local watched = ffi.new("pollfd[1]", { { queue:descriptor(), 1, 0 } })
    local _, why = queue:next(0)
    equal(why, "CFUT_END")
    queue:add(pool:submit(TASKS .. ":echo", "a"), "first")
    for _ = 1, 2 do -- until it is taken out
        equal(ffi.C.poll(watched, 1, -1), 1)
    end
    local future, value = queue:next(0)
    equal(future:result(0) .. value, "afirst")
    equal(ffi.C.poll(watched, 1, 0), 0)
    local linger = pool:submit(TASKS .. ":linger")
    queue:add(linger)
    _, why = queue:next(0)
    equal(why, "CFUT_TIMEOUT")
    linger:cancel "stop"
    equal(queue:next(), linger)
end)

tests.coroutines = each_kind(function(pool)
    local seen, sum = {}, 0
    local linger = pool:submit(TASKS .. ":linger")
    cfutures.run(function()
        local result, failure = cfutures.await(linger)
        seen[#seen + 1] = failure.status
    end, function()
        for n = 1, 100 do
            sum = sum + number(cfutures.await(pool:submit(TASKS .. ":square", bytes(n))))
        end
        seen[#seen + 1] = "sum"
        linger:cancel "stop"
    end)
    assert(sum == 338350 and seen[1] == "sum" and seen[2] == "CFUT_CANCELLED")
    refuses("worker is ill", cfutures.run, function() error "worker is ill" end)
end)

tests.functions_of_a_worker = in_lua(function(pool)
    equal(pool:submit("square", "12"):result(), "144")
    equal(pool:submit("divide", "7/2"):result(), "3.5")
    assert(pool:submit "pid":result() ~= nil)
    fails(pool:submit("divide", "7/0"), "CFUT_FAILED", "division by zero")
    fails(pool:submit("square", "x"), "CFUT_FAILED", "worker.lua")
    fails(pool:submit "none", "CFUT_FAILED", '"none"')
    local linger = pool:submit "linger"
    while not linger:running() do end
    assert(linger:cancel "stop")
    fails(linger, "CFUT_CANCELLED")
    fails(pool:submit("hang", "", { run_timeout = 0.02, grace = 0 }), "CFUT_EXPIRED")
    local hang = pool:submit("hang", "", { grace = 0 })
    while not hang:running() do end
    assert(hang:cancel "kill")
    fails(hang, "CFUT_CANCELLED")
end)

tests.crashes = in_lua(function(pool)
    local before, ill, after = {}, nil, {}
    for n = 1, 100 do before[n] = pool:submit("square", tostring(n)) end
    ill = pool:submit "crash"
    for n = 1, 100 do after[n] = pool:submit("square", tostring(n)) end
    local failure = fails(ill, "CFUT_CRASHED", "SIGSEGV")
    assert(failure.signal == 11 and failure.pid > 0)
    for n = 1, 100 do
        equal(before[n]:result(), tostring(n * n))
        equal(after[n]:result(), tostring(n * n))
    end
    equal(fails(pool:submit("leave", "7"), "CFUT_CRASHED").exit_code, 7)
end)

tests.shutdown = each_kind(function(pool)
    local busy, waiting = occupy(pool), pool:submit(TASKS .. ":echo")
    for _, future in ipairs(busy) do future:cancel "stop" end
    pool:shutdown(true)
    assert(waiting:done())
    refuses("CFUT_ESHUTDOWN", pool.submit, pool, TASKS .. ":echo")
end)

tests.bad_options = function()
    refuses("CFUT_EINVAL", cfutures.thread_pool, { workers = 0 })
    refuses("CFUT_ENOTSUP", cfutures.thread_pool, { worker = "worker.lua" })
    refuses("no option colour", cfutures.thread_pool, { colour = "red" })
    local pool = cfutures.process_pool { workers = 1, worker = "no_such_worker.lua" }
    -- The pool breaks, before the task is accepted or after.
    refuses("ended before it was ready", function()
        local _, failure = pool:submit("square", "1"):result()
        error(failure.message)
    end)
    pool:shutdown()
end

local function resident()
    local file = assert(io.open "/proc/self/statm")
    local _, pages = file:read("*n", "*n")
    file:close()
    return pages * 4096
end

local function descriptors()
    local count, get_flags = 0, ffi.new("int", 1) -- F_GETFD
    for fd = 0, 1023 do
        if ffi.C.fcntl(fd, get_flags) >= 0 then count = count + 1 end
    end
    return count
end

-- 10,000 tasks of each kind with 4 KiB each: what is not released shows.
tests.no_leak = each_kind(function(pool)
    local data = ("x"):rep(4096)
    local function batch()
        local futures = {}
        for n = 1, 500 do
            futures[n] = pool:submit(TASKS .. (n % 20 == 0 and ":fail" or ":echo"), data)
            if n % 25 == 0 then futures[n]:cancel() end
        end
        local count = 0
        for future in cfutures.as_completed(futures) do
            future:result()
            count = count + 1
        end
        equal(count, 500)
    end
    local function collected()
        collectgarbage()
        collectgarbage()
    end
    for _ = 1, 10 do batch() end
    collected()
    local before, files = resident(), descriptors()
    for _ = 1, 20 do
        batch()
        collected() -- handles are given back when they are garbage
    end
    local grown = resident() - before
    equal(descriptors(), files)
    assert(grown < 20000000, grown .. " bytes")
    print("10,000 tasks, " .. grown .. " bytes more")
end)

for _, name in ipairs(#arg > 0 and arg or names) do
    local begin = os.clock()
    tests[name]()
    print(("%s %.2f s of CPU time"):format(name, os.clock() - begin))
end
print "ok"
