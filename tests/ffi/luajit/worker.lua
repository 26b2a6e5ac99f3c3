-- A worker of a process pool, in LuaJIT: these functions are its tasks.
local cfutures = require "cfutures"

cfutures.serve {
    square = function(n) return n * n end,
    pid = function()
        local file = assert(io.open "/proc/self/stat")
        local pid = file:read "*n"
        file:close()
        return pid
    end,
    divide = function(pair)
        local a, b = pair:match "^(%d+)/(%d+)$"
        if b == "0" then error "division by zero" end
        return a / b
    end,
    linger = function()
        while not cfutures.stop_requested() do end
    end,
    hang = function()
        while true do end
    end,
    crash = function()
        local null = require "ffi".cast("char *", 0)
        null[0] = 1
    end,
    leave = function(code) os.exit(tonumber(code)) end,
}
