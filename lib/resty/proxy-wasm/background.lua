-- What goes on in a worker without a request: ticks, answers to calls, upstreams that have to be looked up.
--
-- The library cannot run by itself: after a call that left something to do, attend() asks it what, and runs timers and a light thread.


local ffi = require "ffi"
local cdefs = require "resty.proxy-wasm.cdefs"


local lib = cdefs.lib
local error_buffer = cdefs.error_buffer
local error_text = cdefs.error_text
local exiting = ngx.worker.exiting
local ffi_str = ffi.string
local log = ngx.log
local max = math.max
local pcall = pcall
local sleep = ngx.sleep
local spawn = ngx.thread.spawn
local tcp = ngx.socket.tcp
local timer_at = ngx.timer.at
local tostring = tostring
local type = type
local ERR = ngx.ERR
local WARN = ngx.WARN


local TASK_TICK = cdefs.TASK_TICK
local TASK_RESOLVE = cdefs.TASK_RESOLVE
local TASK_LISTEN = cdefs.TASK_LISTEN
local TASK_KEEP = cdefs.TASK_KEEP
local TASK_RUN = cdefs.TASK_RUN

-- how long, in seconds, the light thread listens on for more calls; it holds up a worker that is to quit by as much
local LINGER = 0.2
-- how soon it is seen what a request left to do at its end
local KEEP = 0.2
-- how often answers are looked for where there can be no socket
local POLL = 0.005
-- in milliseconds; the other end hangs up in time
local NO_TIMEOUT = 1000 * 3600 * 24 * 7


local task = ffi.new("ProxyWasmTask[1]")
local path_p = ffi.new("ProxyWasmStr[1]")

local resolver
-- by plugin context, which of its timers counts
local timers = {}
local last_timer = 0


local _M = {}


local attend


local function awaits()
    return lib.proxy_wasm_worker_awaits(exiting() and 1 or 0) ~= 0
end


-- Returns false and logs why where no timer can be had.
local function start(what, delay, handler, ...)
    local ok, err = timer_at(exiting() and 0 or delay, handler, ...)
    if not ok then
        log(ERR, "proxy-wasm: no timer for ", what, ": ", err)
    end

    return ok
end


local function tick(premature, context, timer, delay)
    -- a worker that is to quit runs timers at once, whatever their delay
    if premature or exiting() or timers[context] ~= timer then
        return
    end

    local took = lib.proxy_wasm_context_tick(context) - 1
    if took < 0 then
        timers[context] = nil
        return
    end

    attend()

    if timers[context] == timer then
        -- it gets half of the worker's time at most; a timer counts from the time that nginx knows
        ngx.update_time()
        start("ticks", max(delay, took / 1000), tick, context, timer, delay)
    end
end


local function set_tick(context, period)
    -- a timer would keep the VM of a request for ever
    if period == 0 or cdefs.of_request then
        timers[context] = nil
        return
    end

    last_timer = last_timer + 1
    timers[context] = last_timer
    start("ticks", period / 1000, tick, context, last_timer, period / 1000)
end


local function resolve(_, vm, token, name)
    local ok, address, err = pcall(resolver, name)
    local failed = 0

    if not ok then
        failed, address = 1, "the resolver failed: " .. tostring(address)

    elseif address == nil and err ~= nil then
        failed, address = 1, tostring(err)

    elseif address ~= nil and type(address) ~= "string" then
        failed, address = 1, "the resolver gave a " .. type(address) .. ", not a string"
    end

    lib.proxy_wasm_call_resolve(vm, token, address, address and #address or 0, failed)
end


-- Gives the socket that answers are announced on, or nil and why there is none.
local function connect()
    if lib.proxy_wasm_worker_listen(path_p, error_buffer()) ~= 0 then
        return nil, error_text()
    end

    local sock = tcp()
    sock:settimeouts(1000, 1000, NO_TIMEOUT)

    local ok, err = sock:connect("unix:" .. ffi_str(path_p[0].data, path_p[0].len))
    if lib.proxy_wasm_worker_accept() ~= 0 or not ok then
        return nil, err or "refused"
    end

    return sock
end


local function hang_up()
    lib.proxy_wasm_worker_hang_up()

    -- a worker that is to quit does not begin anew
    if not exiting() then
        attend()
    end
end


-- Tells plugins what there is for them.
local function look()
    lib.proxy_wasm_worker_events()
    attend()
end


-- Looks for answers from time to time.
local function poll()
    while awaits() do
        sleep(POLL)
        look()
    end

    hang_up()
end


-- Runs in a light thread of its own, from the first call until nothing has been awaited for a while.
local function listen()
    local sock, err = connect()
    if not sock then
        log(WARN, "proxy-wasm: answers to calls are polled for: ", err)
        return poll()
    end

    local answers = 0
    local open = true

    spawn(function()
        local seen
        repeat
            seen = answers
            sleep(LINGER)
        until not open or not awaits() and (answers == seen or exiting())

        if open then
            open = false
            hang_up()
        end
    end)

    while sock:receiveany(64) do
        answers = answers + 1
        look()
    end

    sock:close()

    if open then
        open = false
        hang_up()
    end
end


-- Sees to what requests leave to do at their end, where no Lua runs.
local function keep()
    attend()

    if not exiting() then
        if lib.proxy_wasm_worker_keep() ~= 0 then
            start("the ends of requests", KEEP, keep)
        end

        return
    end

    while lib.proxy_wasm_worker_keep() ~= 0 do
        sleep(POLL)
        attend()
    end

    attend()
end


-- Sees to what there is to do. Phases: any but init.
function attend()
    while true do
        local kind = lib.proxy_wasm_worker_next(task)

        if kind == TASK_TICK then
            set_tick(task[0].id, task[0].period)

        elseif kind == TASK_RESOLVE then
            local name = ffi_str(task[0].name.data, task[0].name.len)
            start("a resolver", 0, resolve, task[0].id, task[0].token, name)

        elseif kind == TASK_LISTEN then
            if not start("answers to calls", 0, listen) then
                -- the next one to attend tries again
                return lib.proxy_wasm_worker_hang_up()
            end

        elseif kind == TASK_KEEP then
            start("the ends of requests", KEEP, keep)

        elseif kind == TASK_RUN then
            -- nginx runs a timer of 0 again before it looks at connections
            if not start("queues", 0.001, look) then
                lib.proxy_wasm_worker_events()
            end

        else
            return
        end
    end
end


_M.attend = attend
_M.look = look


-- Sets the function that is asked where calls go, or nil.
function _M.set_resolver(func)
    resolver = func
    lib.proxy_wasm_calls_ask(func and 1 or 0)
end


return _M
