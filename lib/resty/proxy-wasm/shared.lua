-- Shared data as plugins see it: values under keys, in one store for all workers. A namespace is what plugins get as vm_id.
--
-- All functions answer nil and an error where the system has no memory for the store. Phases: any.


local ffi = require "ffi"
local new_tab = require "table.new"
local cdefs = require "resty.proxy-wasm.cdefs"


local lib = cdefs.lib
local error_buffer = cdefs.error_buffer
local error_text = cdefs.error_text
local ffi_str = ffi.string
local error = error
local tonumber = tonumber
local tostring = tostring
local type = type


local MAX_CAS = 0xffffffff
local MAX_KEYS = 1024


local value_p = ffi.new("ProxyWasmStr[1]")
local cas_p = ffi.new("uint32_t[1]")
local keys_p = ffi.new("const ProxyWasmStr *[1]")
local keys_len_p = ffi.new("size_t[1]")
local stats_p = ffi.new("ProxyWasmSharedStats[1]")


local _M = {}


-- Raises an error at the caller of the public function: level 3 from here.
local function check_key(key)
    if type(key) ~= "string" then
        error("bad key: string expected, got " .. type(key), 3)
    end
end


local function namespace(vm_id)
    if vm_id == nil then
        return ""
    end

    if type(vm_id) ~= "string" then
        error("bad vm_id: string expected, got " .. type(vm_id), 3)
    end

    return vm_id
end


-- Returns the value and its number for set(), or nil where there is none.
function _M.get(_, key, vm_id)
    check_key(key)
    vm_id = namespace(vm_id)

    local rc = lib.proxy_wasm_shared_get(key, #key, vm_id, #vm_id, value_p, cas_p, error_buffer())
    if rc == 0 then
        return nil
    end

    if rc < 0 then
        return nil, error_text()
    end

    return ffi_str(value_p[0].data, value_p[0].len), cas_p[0]
end


-- Sets a string, or a number as one; an empty string removes the key. Where cas is given and not 0, only if it is still the number of what
-- is there, or nothing is.
--
-- Returns true, or nil and "cas mismatch" or "no memory".
function _M.set(_, key, value, cas, vm_id)
    check_key(key)

    if type(value) == "number" then
        value = tostring(value)

    elseif type(value) ~= "string" then
        error("bad value: string or number expected, got " .. type(value), 2)
    end

    if cas == nil then
        cas = 0

    elseif type(cas) ~= "number" or cas < 0 or cas > MAX_CAS then
        error("bad cas: a number of get() expected, got " .. tostring(cas), 2)
    end

    vm_id = namespace(vm_id)

    if lib.proxy_wasm_shared_set(key, #key, value, #value, cas, vm_id, #vm_id, error_buffer()) ~= 0 then
        return nil, error_text()
    end

    return true
end


-- Removes a key, be it there or not.
--
-- Returns true.
function _M.delete(_, key, vm_id)
    check_key(key)
    vm_id = namespace(vm_id)

    if lib.proxy_wasm_shared_set(key, #key, nil, 0, 0, vm_id, #vm_id, error_buffer()) ~= 0 then
        return nil, error_text()
    end

    return true
end


-- Returns an array of the keys, in any order: at most max of them (1024), or all where that is 0.
function _M.keys(_, max, vm_id)
    if max == nil then
        max = MAX_KEYS

    elseif type(max) ~= "number" or max < 0 then
        error("bad max: a number from 0 on expected, got " .. tostring(max), 2)
    end

    vm_id = namespace(vm_id)

    if lib.proxy_wasm_shared_keys(max, vm_id, #vm_id, keys_p, keys_len_p, error_buffer()) ~= 0 then
        return nil, error_text()
    end

    local list, n = keys_p[0], tonumber(keys_len_p[0])
    local keys = new_tab(n, 0)

    for i = 1, n do
        keys[i] = ffi_str(list[i - 1].data, list[i - 1].len)
    end

    return keys
end


-- Returns a table of what the store holds, with the fields of ProxyWasmSharedStats in include/proxy_wasm.h.
function _M.stats()
    if lib.proxy_wasm_shared_stats(stats_p, error_buffer()) ~= 0 then
        return nil, error_text()
    end

    local stats = stats_p[0]

    return {
        size = tonumber(stats.size),
        used = tonumber(stats.used),
        keys = tonumber(stats.keys),
        evicted = tonumber(stats.evicted),
        queues = tonumber(stats.queues),
        items = tonumber(stats.items),
        metrics = tonumber(stats.metrics),
        recovered = tonumber(stats.recovered),
        emptied = tonumber(stats.emptied),
        shared = stats.shared ~= 0,
    }
end


return _M
