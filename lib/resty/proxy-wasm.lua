-- Proxy-Wasm plugins in OpenResty.
--
-- This module: load(), on_configure() and a function for each callback, which APISIX calls.
-- resty.proxy-wasm.chain: a list of plugins that runs through all phases.


local bit = require "bit"
local ffi = require "ffi"
local base = require "resty.core.base"
local cdefs = require "resty.proxy-wasm.cdefs"
local background = require "resty.proxy-wasm.background"
local options = require "resty.proxy-wasm.options"
local outcomes = require "resty.proxy-wasm.outcome"
local response_headers = require "resty.proxy-wasm.response_headers"
local setup = require "resty.proxy-wasm.setup"
local shared = require "resty.proxy-wasm.shared"


base.allows_subsystem("http")


local lib = cdefs.lib
local error_buffer = cdefs.error_buffer
local error_text = cdefs.error_text
local get_request = base.get_request
local attend = background.attend
local get_phase = ngx.get_phase
local band = bit.band
local ffi_gc = ffi.gc
local ffi_istype = ffi.istype
local ffi_str = ffi.string
local gmatch = string.gmatch
local collectgarbage = collectgarbage
local tonumber = tonumber
local tostring = tostring
local pairs = pairs
local type = type
local error = error
local ngx = ngx


local READS_RESPONSE_HEADERS = cdefs.READS_RESPONSE_HEADERS
local NO_REQUEST = cdefs.NO_REQUEST
local OUTCOME_BODY = cdefs.OUTCOME_BODY
local OUTCOME_CLOSE = cdefs.OUTCOME_CLOSE
local OUTCOME_HOLD = cdefs.OUTCOME_HOLD
local OUTCOME_TASKS = cdefs.OUTCOME_TASKS

local STRINGS = options.STRINGS

local CALL_FAILED = "failed to run proxy_on_http_call_response"

-- what a plugin context counts for the garbage collector, in KB
local CONTEXT_WEIGHT = 16


local plugin_p = ffi.new("ProxyWasmPlugin *[1]")
local context_p = ffi.new("ProxyWasmContext *[1]")
local contexts = ffi.new("const ProxyWasmContext *[1]")
local str_p = ffi.new("ProxyWasmStr[1]")
local plugin_type = ffi.typeof("ProxyWasmPlugin *")
local context_type = ffi.typeof("ProxyWasmContext *")
local options_type = ffi.typeof("ProxyWasmHeader[?]")
local outcome = outcomes.outcome


local _M = {
    _VERSION = "0.1.0",
}


-- See resty.proxy-wasm.setup.
_M.setup = setup.setup

-- See resty.proxy-wasm.shared.
_M.shared = shared


-- Makes the plugins that were loaded and configured in init_by_lua* ready in this worker, so that they tick and call without waiting for
-- a request. Without it a plugin starts with the first request that it sees.
--
-- Returns true, or nil and an error, with the causes in the error log; what failed is tried again by the first request.
-- Phases: init_worker.
function _M.init_worker()
    local failed = lib.proxy_wasm_worker_start()
    attend()

    if failed ~= 0 then
        return nil, "failed to start " .. failed .. " of the plugin contexts"
    end

    return true
end


-- Raises an error at the caller of the public function: level 4 from here.
local function add_option(list, name, value)
    if type(value) ~= "string" then
        error("bad option \"" .. name .. "\": string expected, got " .. type(value), 4)
    end

    list[#list + 1] = { name, value }
end


-- Options as an array of names and values, and its length. The third value keeps the strings alive.
local function options_array(opts)
    if type(opts) ~= "table" then
        error("bad options: table expected, got " .. type(opts), 3)
    end

    local list = {}

    for name, value in pairs(opts) do
        if STRINGS[name] then
            add_option(list, name, value)

        elseif name == "env" then
            if type(value) ~= "table" then
                error("bad option \"env\": table expected, got " .. type(value), 3)
            end

            for variable, text in pairs(value) do
                if type(variable) ~= "string" then
                    error("bad option \"env\": name expected, got " .. type(variable), 3)
                end

                add_option(list, "env:" .. variable, text)
            end

        else
            error("unknown option \"" .. tostring(name) .. "\"", 3)
        end
    end

    local array = options_type(#list)
    for i = 1, #list do
        local option = array[i - 1]
        option.name.data, option.name.len = list[i][1], #list[i][1]
        option.value.data, option.value.len = list[i][2], #list[i][2]
    end

    return array, #list, list
end


-- Loads a plugin from a .wasm or .wat file.
--
-- opts.root_id: the name under which the plugin registered its root context, where it is not the plugin's name
-- opts.vm_config: the configuration of the VM (proxy_on_vm_start)
-- opts.vm_id: the namespace of shared data
-- opts.env: a table of the plugin's environment variables
-- opts.memory_limit, memory_renew, deadline, start_deadline, stream_limit, body_buffer_size, log_limit, crash_limit, crash_window,
-- pause_timeout: for this plugin, as for all in setup()
--
-- Returns the plugin, or nil and an error: the system's message for a file that cannot be read, what is wrong with an option, else "failed to
-- load wasm plugin", with the cause in the error log. Phases: any; best init_by_lua*.
function _M.load(name, path, opts)
    if type(name) ~= "string" or type(path) ~= "string" then
        error("bad arguments: a name and a path expected", 2)
    end

    local array, n, _ = nil, 0
    if opts ~= nil then
        array, n, _ = options_array(opts)
    end

    local rc = lib.proxy_wasm_plugin_new(name, #name, path, #path, array, n, plugin_p,
                                         error_buffer())
    if rc ~= 0 then
        return nil, error_text()
    end

    return ffi_gc(plugin_p[0], lib.proxy_wasm_plugin_free)
end


local function configure(plugin, conf)
    -- Lua's collector sees a handle of a few bytes and not the guest's memory behind it: it has to be told to keep up where
    -- contexts are made for each request
    collectgarbage("step", CONTEXT_WEIGHT)

    local rc = lib.proxy_wasm_context_new(plugin, conf, #conf, context_p)

    if get_phase() ~= "init" then
        attend()
    end

    if rc ~= 0 then
        return nil, "failed to run proxy_on_configure"
    end

    return ffi_gc(context_p[0], lib.proxy_wasm_context_free)
end


-- Makes a plugin context, which runs proxy_on_configure with conf, a string that is not empty.
--
-- Returns the context, or nil and "bad plugin", "bad conf" or "failed to run proxy_on_configure". Phases: any.
function _M.on_configure(plugin, conf)
    if not ffi_istype(plugin_type, plugin) then
        return nil, "bad plugin"
    end

    if type(conf) ~= "string" or conf == "" then
        return nil, "bad conf"
    end

    return configure(plugin, conf)
end


-- What is known of a plugin.
--
-- Returns a table: name, engine, code ("compiled" or "interpreted"), cache ("hit", "miss" or "off"), abi_version, size (bytes of the
-- file), hash (SHA-256), root_id, contexts (in this worker's VM), and the lists exports, imports and unknown_imports; or nil and
-- "bad plugin". Phases: any.
function _M.info(plugin)
    if not ffi_istype(plugin_type, plugin) then
        return nil, "bad plugin"
    end

    if lib.proxy_wasm_plugin_info(plugin, str_p) ~= 0 then
        return nil, "failed to describe the plugin"
    end

    local info = { exports = {}, imports = {}, unknown_imports = {} }

    for key, value in gmatch(ffi_str(str_p[0].data, str_p[0].len), "([^=\n]+)=([^\n]*)\n") do
        local list = info[key .. "s"]

        if type(list) == "table" then
            list[#list + 1] = value

        elseif key == "size" or key == "contexts" then
            info[key] = tonumber(value)

        else
            info[key] = value
        end
    end

    return info
end


-- The name of the engine that plugins are loaded on. Phases: any.
function _M.engine()
    lib.proxy_wasm_engine_get(str_p)
    return ffi_str(str_p[0].data, str_p[0].len)
end


-- All metrics, of plugins and the library's own, as Prometheus reads them: text/plain; version=0.0.4.
--
-- Returns the text, or nil and an error where the system has no memory for the store. Phases: any.
function _M.metrics()
    if lib.proxy_wasm_metrics_text(str_p, error_buffer()) ~= 0 then
        return nil, error_text()
    end

    return ffi_str(str_p[0].data, str_p[0].len)
end


-- What a function returns whose callback did not run, or not well.
local function failed(rc, err)
    if rc == NO_REQUEST then
        return nil, "bad request"
    end

    attend()

    return nil, err
end


-- Runs proxy_on_request_headers, and the callbacks of calls that the plugin makes: waits, without blocking the worker, until it lets the
-- request go on. Ends the request itself where the plugin sent a local response.
--
-- Returns true, or nil and "bad plugin ctx", "bad request", "failed to run proxy_on_http_request_headers" or "failed to run
-- proxy_on_http_call_response".
-- Phases: rewrite, access, content.
function _M.on_http_request_headers(plugin_ctx)
    if not ffi_istype(context_type, plugin_ctx) then
        return nil, "bad plugin ctx"
    end

    local r = get_request()
    if not r then
        return nil, "bad request"
    end

    contexts[0] = plugin_ctx

    local rc = lib.proxy_wasm_streams_request_headers(contexts, 1, r, outcome)
    if rc < 0 then
        return failed(rc, "failed to run proxy_on_http_request_headers")
    end

    if rc > 0 then
        rc = outcomes.apply_request(rc, plugin_ctx, r)
    end

    if rc < 0 then
        return failed(rc, CALL_FAILED)
    end

    return true
end


-- Runs proxy_on_request_body with a piece of the body, or with nil where there is none to show. A body that the plugin changed becomes
-- the request's. Waits as on_http_request_headers().
--
-- Returns true, or nil and "bad plugin ctx", "bad request", "failed to run proxy_on_http_request_body" or "failed to run
-- proxy_on_http_call_response".
-- Phases: rewrite, access, content.
function _M.on_http_request_body(plugin_ctx, body, end_of_body)
    if not ffi_istype(context_type, plugin_ctx) then
        return nil, "bad plugin ctx"
    end

    local r = get_request()
    if not r then
        return nil, "bad request"
    end

    if body ~= nil and type(body) ~= "string" then
        body = tostring(body)
    end

    local rc = lib.proxy_wasm_stream_request_body(plugin_ctx, r, body, body and #body or 0,
                                                  end_of_body and 1 or 0, outcome)
    if rc < 0 then
        return failed(rc, "failed to run proxy_on_http_request_body")
    end

    if rc > 0 then
        rc = outcomes.apply_request(rc, plugin_ctx, r)
    end

    if rc < 0 then
        return failed(rc, CALL_FAILED)
    end

    return true
end


-- LuaJIT compiles no further than a function of nginx's that it cannot look into, as that which gives all headers: what follows is compiled
-- as a function of its own. The last parameter keeps the headers' strings alive.
local function run_response_headers(plugin_ctx, r, headers, n, _)
    contexts[0] = plugin_ctx

    local rc = lib.proxy_wasm_streams_response_headers(contexts, 1, r, headers, n, outcome)
    if rc < 0 then
        return failed(rc, "failed to run proxy_on_http_response_headers")
    end

    if rc ~= 0 then
        outcomes.apply_response_headers(rc)
    end

    return true
end


-- Runs proxy_on_response_headers. A local response takes the place of the response: its body goes out with
-- on_http_response_body().
--
-- Returns true, or nil and "bad plugin ctx", "bad request" or "failed to run proxy_on_http_response_headers".
-- Phases: header_filter.
function _M.on_http_response_headers(plugin_ctx)
    if not ffi_istype(context_type, plugin_ctx) then
        return nil, "bad plugin ctx"
    end

    local r = get_request()
    if not r or not response_headers.available() then
        return nil, "bad request"
    end

    if band(lib.proxy_wasm_context_flags(plugin_ctx), READS_RESPONSE_HEADERS) == 0 then
        return run_response_headers(plugin_ctx, r, nil, 0)
    end

    local headers, n, strings = response_headers.collect()

    return run_response_headers(plugin_ctx, r, headers, n, strings)
end


-- Runs proxy_on_response_body with the chunk in ngx.arg, and puts there what goes on.
--
-- Returns true, or nil and "bad plugin ctx", "bad request" or "failed to run proxy_on_http_response_body".
-- Phases: body_filter.
function _M.on_http_response_body(plugin_ctx)
    if not ffi_istype(context_type, plugin_ctx) then
        return nil, "bad plugin ctx"
    end

    local r = get_request()
    if not r or get_phase() ~= "body_filter" then
        return nil, "bad request"
    end

    local replaced, refused = outcomes.replace_body()
    if refused then
        error("proxy_close_stream: the plugin has closed the connection", 0)
    end

    if replaced then
        return true
    end

    local chunk, eof = ngx.arg[1], ngx.arg[2]
    if chunk == "" and not eof then
        return true
    end

    local rc = lib.proxy_wasm_stream_response_body(plugin_ctx, r, chunk, #chunk, eof and 1 or 0,
                                                   outcome)
    if rc < 0 then
        -- what the plugin held back is not lost with it
        if rc ~= NO_REQUEST and outcome.body.data ~= nil then
            ngx.arg[1] = outcomes.body()
        end

        return failed(rc, "failed to run proxy_on_http_response_body")
    end

    if band(rc, OUTCOME_TASKS) ~= 0 then
        attend()
    end

    if band(rc, OUTCOME_CLOSE) ~= 0 then
        -- the only way out of here for a caller that returns nothing to nginx
        error("proxy_close_stream: the plugin closes the connection", 0)
    end

    if band(rc, OUTCOME_BODY) ~= 0 then
        ngx.arg[1] = outcomes.body()

    elseif band(rc, OUTCOME_HOLD) ~= 0 then
        ngx.arg[1] = ""
    end

    return true
end


-- Makes a filter chain: see resty.proxy-wasm.chain.
--
-- Returns the chain, or nil and an error that names the plugin. Raises an error on bad arguments.
function _M.chain(plugins)
    -- no tail call: errors about the arguments are raised at this function's caller
    local chain, err = require("resty.proxy-wasm.chain").new(plugins, _M.load, configure)
    return chain, err
end


return _M
