-- A tour. CFUT_TASKS is a shared object made of ../tasks.c.
local cfutures = require "cfutures"
local ffi = require "ffi"

local TASKS = assert(os.getenv "CFUT_TASKS", "CFUT_TASKS is not set")

-- Numbers travel as the eight bytes that the tasks in C take.
local function bytes(n)
    return ffi.string(ffi.new("int64_t[1]", n), 8)
end

local function number(text)
    return tonumber(ffi.cast("const int64_t *", text)[0])
end

local pool = cfutures.thread_pool { workers = 2 }
local squares = {}
for n = 1, 5 do
    squares[n] = pool:submit(TASKS .. ":square", bytes(n))
end
for future in cfutures.as_completed(squares) do
    print("as completed", number(future:result()))
end
local _, failure = pool:submit(TASKS .. ":fail", "no such file"):result()
print("it failed", failure.status, failure.code, failure.message)
local _, failure = pool:submit(TASKS .. ":linger", "", { run_timeout = 0.02 }):result()
print("it took too long", failure.status)

-- Coroutines in place of an event loop.
cfutures.run(function()
    print("one", number(cfutures.await(pool:submit(TASKS .. ":nap", bytes(2e6)))))
end, function()
    print("two", number(cfutures.await(pool:submit(TASKS .. ":square", bytes(12)))))
end)
pool:shutdown()

local pool = cfutures.process_pool { workers = 2, worker = "worker.lua" }
print("a function in another process", pool:submit("square", "12"):result())
local ill = pool:submit "crash"
local _, failure = ill:result()
print("one has crashed", failure.status, failure.signal)
print("the pool goes on", pool:submit("square", "3"):result())
pool:shutdown()
print "ok"
