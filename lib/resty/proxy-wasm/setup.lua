-- What wasm.setup{} says in the place of directives.


local background = require "resty.proxy-wasm.background"
local cdefs = require "resty.proxy-wasm.cdefs"


local lib = cdefs.lib
local error_buffer = cdefs.error_buffer
local error_text = cdefs.error_text
local error = error
local pairs = pairs
local tostring = tostring
local type = type


local _M = {}


-- the directive that says what each option of setup() does
local DIRECTIVES = {
    vm = "wasm_vm",
    wasmedge_aot = "wasmedge_aot",
    cache_path = "wasm_cache_path",
    cache_size = "wasm_cache_size",
    memory_limit = "wasm_memory_limit",
    deadline = "wasm_deadline",
    start_deadline = "wasm_start_deadline",
    memory_renew = "wasm_memory_renew",
    instance_limit = "wasm_instance_limit",
    stream_limit = "wasm_stream_limit",
    body_buffer_size = "wasm_body_buffer_size",
    log_limit = "wasm_log_limit",
    crash_limit = "wasm_crash_limit",
    crash_window = "wasm_crash_window",
    shm_size = "wasm_shm_size",
    shm_policy = "wasm_shm_policy",
    pause_timeout = "wasm_pause_timeout",
    call_limit = "wasm_call_limit",
    call_timeout = "wasm_call_timeout",
    call_max_headers = "wasm_call_max_headers",
    call_max_body = "wasm_call_max_body",
    call_ssl_verify = "wasm_call_ssl_verify",
    call_ssl_trusted_certificate = "wasm_call_ssl_trusted_certificate",
    call_http2 = "wasm_call_http2",
    call_wait = "wasm_call_wait",
}


-- Sets what directives would set. To be called before load() and whatever looks at shared data or metrics, in init_by_lua*.
--
-- opts.vm: the engine, as the directive wasm_vm: "wasmtime" or "wasmedge".
-- opts.wasmedge_aot: which plugins WasmEdge compiles ahead of time, as the directive wasmedge_aot: "auto" (large ones), "on" or "off".
-- opts.cache_path: the folder in which compiled code is kept, as the directive wasm_cache_path (none).
-- opts.cache_size: what that code may come to, as the directive wasm_cache_size: "512m" (1g).
-- opts.memory_limit: what an instance may have of linear memory, as the directive wasm_memory_limit: "64m", "1g" (256m).
-- opts.memory_renew: from which size of its linear memory on an instance is renewed when it is idle, as the directive wasm_memory_renew: "128m" (never).
-- opts.deadline: how long a callback may take, as the directive wasm_deadline: "500ms", "2s" (1s).
-- opts.start_deadline: how long a plugin may take to start, and to be configured, as the directive wasm_start_deadline: "5s" (10s, or the deadline
-- if that is more).
-- opts.instance_limit: how many instances of plugins a worker may have, as the directive wasm_instance_limit: "100" (1024).
-- opts.stream_limit: how many requests an instance may work on, as the directive wasm_stream_limit: "1000" (65536).
-- opts.body_buffer_size: how much of a body a plugin may hold back, as the directive wasm_body_buffer_size: "1m" (16m).
-- opts.log_limit: how many records a second a plugin may write to the log of a worker, as the directive wasm_log_limit: "100" (1000).
-- opts.crash_limit, opts.crash_window: how many crashes in what time are forgiven before a plugin is not run for a while, as the directives
-- wasm_crash_limit and wasm_crash_window: "3" or "off" (10), "5m" (60s).
-- opts.shm_size: how much memory workers share for data, queues and metrics, as the directive wasm_shm_size: "64m" (16m). It counts in
-- init_by_lua* only.
-- opts.shm_policy: what is done when data does not fit, as the directive wasm_shm_policy: "lru" (what has not been used for longest goes)
-- or "none". Likewise.
-- opts.pause_timeout: how long a plugin may hold a request while no answer is due to it, as the directive wasm_pause_timeout (60s).
-- opts.call_limit, call_timeout, call_max_headers, call_max_body, call_ssl_verify, call_ssl_trusted_certificate, call_http2 and
-- call_wait: what holds for calls to other services, as the directives of these names after "wasm_".
-- opts.resolve: a function that is asked where each call goes. It gets the name of an upstream and returns another, of the forms
-- that there are; or nil for the name itself; or nil and why the call is to fail. It runs in a light thread, so it may yield.
--
-- Returns true, or nil and an error. Raises an error on an unknown option.
function _M.setup(opts)
    if type(opts) ~= "table" then
        error("bad options: table expected, got " .. type(opts), 2)
    end

    for name, word in pairs(opts) do
        if name == "resolve" then
            if type(word) ~= "function" then
                error("bad option \"resolve\": function expected, got " .. type(word), 2)
            end

        elseif not DIRECTIVES[name] then
            error("unknown option \"" .. tostring(name) .. "\"", 2)

        elseif type(word) ~= "string" then
            error("bad option \"" .. name .. "\": string expected, got " .. type(word), 2)
        end
    end

    for name, word in pairs(opts) do
        local directive = DIRECTIVES[name]
        if directive and lib.proxy_wasm_setting(directive, #directive, word, #word, error_buffer()) ~= 0 then
            return nil, error_text()
        end
    end

    if opts.resolve then
        background.set_resolver(opts.resolve)
    end

    return true
end


return _M
