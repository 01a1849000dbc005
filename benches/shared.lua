-- For benches/shared.conf: what is measured, and how.


local bit = require "bit"
local ffi = require "ffi"


ffi.cdef[[
struct bench_time { long sec, nsec; };
int clock_gettime(int, struct bench_time *);
int usleep(unsigned int);
]]


local band = bit.band
local C = ffi.C
local wasm = require "resty.proxy-wasm"
local shared = wasm.shared
local dict = ngx.shared.dict
local control = ngx.shared.control


local WAT = ...
local MONOTONIC = 1
local PROCESS_CPU = 2
local MAX_KEYS = 1024

-- the numbers that shared.wat knows them by
local BARE = 0
local GET = 1
local SET = 2
local GET_AND_SET = 3
local INCREMENT = 4
local RECORD = 5
local ENQUEUE_AND_DEQUEUE = 6


local time = ffi.new("struct bench_time")
local subjects = {}
local keys = {}

for i = 0, MAX_KEYS - 1 do
    keys[i] = "benchmark-key-" .. string.char(65 + bit.rshift(i, 5), 65 + band(i, 31))
end


-- Adds something that run(times, mask) does so many times, on the keys that the mask leaves.
local function add(what, who, size, run)
    subjects[#subjects + 1] = { what = what, who = who, size = size, run = run }
end


local function add_plugin(what, size, number)
    local plugin = assert(wasm.load("bench", WAT))
    local contexts = {}

    add(what, "a plugin", size, function(times, mask)
        local conf = ffi.string(ffi.new("int32_t[4]", number, size, mask + 1, times), 16)

        if not contexts[conf] then
            contexts[conf] = assert(wasm.on_configure(plugin, conf))
        end

        assert(wasm.on_http_request_headers(contexts[conf]))
    end)
end


add_plugin("a hostcall alone", 0, BARE)

for _, size in ipairs{ 8, 64, 1024 } do
    local value = string.rep("x", size)
    local of = " of " .. size .. " bytes"

    add_plugin("get" .. of, size, GET)

    add("get" .. of, "wasm.shared", size, function(times, mask)
        for i = 1, times do
            assert(shared:get(keys[band(i, mask)]))
        end
    end)

    add("get" .. of, "lua_shared_dict", size, function(times, mask)
        for i = 1, times do
            assert(dict:get(keys[band(i, mask)]))
        end
    end)

    add_plugin("set" .. of, size, SET)

    add("set" .. of, "wasm.shared", size, function(times, mask)
        for i = 1, times do
            assert(shared:set(keys[band(i, mask)], value))
        end
    end)

    add("set" .. of, "lua_shared_dict", size, function(times, mask)
        for i = 1, times do
            assert(dict:set(keys[band(i, mask)], value))
        end
    end)

    add_plugin("enqueue, dequeue" .. of, size, ENQUEUE_AND_DEQUEUE)

    add("enqueue, dequeue" .. of, "lua_shared_dict", size, function(times)
        for _ = 1, times do
            assert(dict:rpush("queue", value))
            assert(dict:lpop("queue"))
        end
    end)
end

add_plugin("get, set if the same", 8, GET_AND_SET)

add("get, set if the same", "wasm.shared", 8, function(times, mask)
    for i = 1, times do
        local key = keys[band(i, mask)]
        local value, cas

        repeat
            value, cas = shared:get(key)
        until shared:set(key, value, cas)
    end
end)

add_plugin("increment a counter", 0, INCREMENT)

add("increment a counter", "lua_shared_dict", 0, function(times)
    for _ = 1, times do
        assert(dict:incr("counter", 1, 0))
    end
end)

add_plugin("record in a histogram", 0, RECORD)


-- Waits for so many workers to be here; this one does nothing else meanwhile.
local function meet(workers)
    local arrived = "arrived of " .. workers
    local all = math.ceil(assert(control:incr(arrived, 1, 0)) / workers) * workers

    for _ = 1, 6e5 do
        if control:get(arrived) >= all then
            return
        end

        C.usleep(100)
    end

    error("a worker is missing")
end


-- in nanoseconds
local function now(clock)
    C.clock_gettime(clock, time)
    return tonumber(time.sec) * 1e9 + tonumber(time.nsec)
end


-- Prints for each round what was done, by whom, and how long it took each time: by the clock, and of this worker's CPU.
return function(workers, number_of_keys, largest, rounds, times)
    local mask = number_of_keys - 1

    -- round 0 is to get warm
    for round = 0, rounds do
        for _, subject in ipairs(subjects) do
            if subject.size <= largest then
                for i = 0, mask do
                    local value = string.rep("x", math.max(subject.size, 1))
                    assert(dict:set(keys[i], value))
                    assert(shared:set(keys[i], value))
                end

                collectgarbage()
                meet(workers)

                local clock, cpu = now(MONOTONIC), now(PROCESS_CPU)
                subject.run(times, mask)
                clock, cpu = now(MONOTONIC) - clock, now(PROCESS_CPU) - cpu
                meet(workers)

                if round > 0 then
                    ngx.say(table.concat({ round, subject.what, subject.who, clock / times, cpu / times }, "\t"))
                end
            end
        end
    end
end
