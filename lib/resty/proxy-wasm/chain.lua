-- A list of plugins that runs through all phases of a request, one line of Lua a phase:
--
--     local chain = assert(wasm.chain{
--         { path = "auth.wasm", conf = "..." },
--         { path = "rewrite.wasm", conf = "...", fail = "open" },
--     })
--
--     access_by_lua_block        { chain:access() }
--     header_filter_by_lua_block { chain:header_filter() }
--     body_filter_by_lua_block   { return chain:body_filter() }
--
-- Plugins run in order for the request and in reverse for the response. proxy_on_log and the end of a context come with the end of the request.


local bit = require "bit"
local ffi = require "ffi"
local base = require "resty.core.base"
local background = require "resty.proxy-wasm.background"
local cdefs = require "resty.proxy-wasm.cdefs"
local options = require "resty.proxy-wasm.options"
local outcomes = require "resty.proxy-wasm.outcome"
local response_headers = require "resty.proxy-wasm.response_headers"


local lib = cdefs.lib
local attend = background.attend
local get_request = base.get_request
local get_phase = ngx.get_phase
local band = bit.band
local match = string.match
local io_open = io.open
local ngx = ngx
local pairs = pairs
local setmetatable = setmetatable
local tonumber = tonumber
local tostring = tostring
local type = type
local error = error


local NO_REQUEST = cdefs.NO_REQUEST
local HAS_REQUEST_BODY = cdefs.HAS_REQUEST_BODY
local HAS_RESPONSE_BODY = cdefs.HAS_RESPONSE_BODY
local READS_RESPONSE_HEADERS = cdefs.READS_RESPONSE_HEADERS
local OUTCOME_BODY = cdefs.OUTCOME_BODY
local OUTCOME_HOLD = cdefs.OUTCOME_HOLD
local OUTCOME_LOCAL_RESPONSE = cdefs.OUTCOME_LOCAL_RESPONSE
local OUTCOME_CLOSE = cdefs.OUTCOME_CLOSE
local OUTCOME_PAUSED = cdefs.OUTCOME_PAUSED
local OUTCOME_TASKS = cdefs.OUTCOME_TASKS

local PAYLOAD_TOO_LARGE = 413

local STRINGS = options.STRINGS
local FIELDS = { name = "string", path = "string", env = "table", fail = "string" }


local contexts_type = ffi.typeof("const ProxyWasmContext *[?]")
local outcome = outcomes.outcome


local _M = {}
local mt = { __index = _M }


local function check(i, spec)
    if type(spec) ~= "table" then
        error("bad plugin " .. i .. ": table expected, got " .. type(spec), 4)
    end

    if spec.path == nil then
        error("bad plugin " .. i .. ": no path", 4)
    end

    for name, value in pairs(spec) do
        local expected = STRINGS[name] and "string" or FIELDS[name]

        if name == "conf" then
            if type(value) ~= "string" and type(value) ~= "table" then
                error("bad plugin " .. i .. ": conf is neither string nor table", 4)
            end

        elseif not expected then
            error("bad plugin " .. i .. ": unknown option \"" .. tostring(name) .. "\"", 4)

        elseif type(value) ~= expected then
            error("bad plugin " .. i .. ": " .. name .. " is not a " .. expected, 4)
        end
    end

    for variable, value in pairs(spec.env or {}) do
        if type(value) ~= "string" then
            error("bad plugin " .. i .. ": env " .. tostring(variable) .. " is not a string", 4)
        end
    end

    if spec.fail ~= nil and spec.fail ~= "open" and spec.fail ~= "closed" then
        error("bad plugin " .. i .. ": fail is neither \"open\" nor \"closed\"", 4)
    end
end


-- Loads the plugins and configures each.
--
-- For each: path; conf, a string, or a table that becomes JSON; name, by default the file's name without its ending; fail, what happens
-- to a request when the plugin fails: "closed" (the default) ends it with 500, "open" lets it go on; and the options of load().
--
-- Returns the chain, or nil and an error that names the plugin.
function _M.new(specs, load, configure)
    if type(specs) ~= "table" then
        error("bad plugins: table expected, got " .. type(specs), 3)
    end

    local n = #specs
    local self = {
        n = n,
        reads_headers = false,
        filters_body = false,
        reads_body = false,
        -- the contexts in order, and in reverse order
        contexts = contexts_type(n),
        reversed = contexts_type(n),
    }

    for i = 1, n do
        local spec = specs[i]
        check(i, spec)

        local name = spec.name or match(spec.path, "([^/]*)%.[^./]*$") or spec.path
        local conf = spec.conf or ""
        if type(conf) == "table" then
            conf = require("cjson.safe").encode(conf)
            if not conf then
                return nil, "plugin " .. name .. ": conf cannot be encoded as JSON"
            end
        end

        local opts = { env = spec.env }
        for option in pairs(STRINGS) do
            opts[option] = spec[option]
        end

        local plugin, err = load(name, spec.path, opts)
        if not plugin then
            return nil, "plugin " .. name .. ": " .. err
        end

        local context
        context, err = configure(plugin, conf)
        if not context then
            return nil, "plugin " .. name .. ": " .. err
        end

        local flags = lib.proxy_wasm_plugin_flags(plugin)
        local reads_headers = band(flags, READS_RESPONSE_HEADERS) ~= 0
        local filters_body = band(flags, HAS_RESPONSE_BODY) ~= 0
        local reads_body = band(flags, HAS_REQUEST_BODY) ~= 0

        self[i] = {
            context = context,
            fail_open = spec.fail == "open",
            reads_body = reads_body,
            body_limit = tonumber(lib.proxy_wasm_context_body_limit(context)),
            filters_body = filters_body,
        }
        self.contexts[i - 1] = context
        self.reversed[n - i] = context
        self.reads_headers = self.reads_headers or reads_headers
        self.filters_body = self.filters_body or filters_body
        self.reads_body = self.reads_body or reads_body
    end

    return setmetatable(self, mt)
end


-- Ends a request because a plugin failed that fails closed. nginx's page for it goes out without the plugins.
local function fail_closed(r)
    lib.proxy_wasm_request_bypass(r)
    return ngx.exit(ngx.HTTP_INTERNAL_SERVER_ERROR)
end


-- A callback failed. Sees to what it left to do; gives whether the request fails with it.
local function fails(plugin)
    attend()
    return not plugin.fail_open
end


-- The request's body. Does not return where it is longer than that many bytes.
local function read_body(r, limit)
    ngx.req.read_body()

    local body = ngx.req.get_body_data()
    if body then
        return body
    end

    local path = ngx.req.get_body_file()
    if not path then
        return nil
    end

    local file, err = io_open(path, "rb")
    if not file then
        ngx.log(ngx.ERR, "proxy-wasm: the request's body cannot be read: ", err)
        return nil
    end

    local size = file:seek("end")
    if size > limit then
        file:close()
        ngx.log(ngx.ERR, "proxy-wasm: a body of ", size, " bytes, more than ", limit, " (wasm_body_buffer_size)")
        lib.proxy_wasm_request_bypass(r)
        return ngx.exit(PAYLOAD_TOO_LARGE)
    end

    file:seek("set")
    body = file:read("*a")
    file:close()

    return body
end


-- Runs proxy_on_request_body of one plugin with the whole body. Gives nil where it changed the body, else the body.
local function run_body(plugin, r, body)
    local rc = lib.proxy_wasm_stream_request_body(plugin.context, r, body, #body, 1, outcome)
    if rc > 0 then
        rc = outcomes.apply_request(rc, plugin.context, r)
    end

    if rc < 0 then
        if fails(plugin) then
            fail_closed(r)
        end

    elseif band(rc, OUTCOME_BODY) ~= 0 then
        return nil
    end

    return body
end


-- Runs proxy_on_request_body of the plugins from first to last that have it, if the request has a body.
local function run_bodies(self, r, first, last)
    local body

    for i = first, last do
        if self[i].reads_body then
            body = body or read_body(r, self[i].body_limit)
            if not body then
                return
            end

            body = run_body(self[i], r, body)
        end
    end
end


-- Goes on with a chain that has stopped at a plugin which has left something to do. Gives how many of the plugins have seen the body. Does
-- not return where the request is over.
local function go_on(self, r, rc)
    local n = self.n
    local ran, shown = 0, 0

    repeat
        ran = ran + tonumber(outcome.ran)
        local plugin = self[ran]

        if rc > 0 then
            rc = outcomes.apply_request(rc, plugin.context, r)
        end

        if rc < 0 then
            if fails(plugin) then
                return fail_closed(r)
            end

        elseif band(rc, OUTCOME_PAUSED) ~= 0 then
            -- those behind it see the request once this plugin lets it go, with its body
            run_bodies(self, r, shown + 1, ran)
            shown = ran
        end

        rc = lib.proxy_wasm_streams_request_headers(self.contexts + ran, n - ran, r, outcome)
    until rc == 0

    return shown
end


-- Runs proxy_on_request_headers and, where a plugin has a callback for it and the request has a body, proxy_on_request_body.
--
-- Returns nothing, and does not return where a plugin ended the request. Phases: access; as rewrite() in rewrite.
function _M.access(self)
    local r = get_request()
    if not r then
        error("no request", 2)
    end

    local shown = 0
    local rc = lib.proxy_wasm_streams_request_headers(self.contexts, self.n, r, outcome)

    if rc == NO_REQUEST then
        error("no request", 2)
    end

    if rc ~= 0 then
        shown = go_on(self, r, rc)
    end

    if self.reads_body then
        run_bodies(self, r, shown + 1, self.n)
    end
end


_M.rewrite = _M.access


-- As go_on(), for the response.
local function go_on_with_response(self, r, rc)
    local n = self.n
    local ran = 0

    repeat
        ran = ran + tonumber(outcome.ran)
        local rest = self.reversed + ran
        -- the library keeps up with what plugins change
        local headers, count, _ = nil, 0

        if rc < 0 then
            if fails(self[n + 1 - ran]) then
                return outcomes.fail_response()
            end

            if self.reads_headers and ran < n then
                -- how far it came is not known
                headers, count, _ = response_headers.collect()
            end

        else
            outcomes.apply_response_headers(rc)

            if band(rc, OUTCOME_CLOSE) ~= 0 then
                return
            end

            if band(rc, OUTCOME_LOCAL_RESPONSE) ~= 0 then
                -- a local response is final: those in front see no response headers
                return
            end
        end

        rc = lib.proxy_wasm_streams_response_headers(rest, n - ran, r, headers, count, outcome)
    until rc == 0
end


-- See run_response_headers() in resty.proxy-wasm.
local function run_response_headers(self, r, headers, n, _)
    local rc = lib.proxy_wasm_streams_response_headers(self.reversed, self.n, r, headers, n, outcome)

    if rc == NO_REQUEST then
        error("no request", 2)
    end

    if rc ~= 0 then
        return go_on_with_response(self, r, rc)
    end
end


-- Runs proxy_on_response_headers, in reverse order. Phases: header_filter.
function _M.header_filter(self)
    local r = get_request()
    if not r or not response_headers.available() then
        error("no request", 2)
    end

    if not self.reads_headers then
        return run_response_headers(self, r, nil, 0)
    end

    local headers, n, strings = response_headers.collect()

    return run_response_headers(self, r, headers, n, strings)
end


-- Runs proxy_on_response_body, in reverse order, and puts into ngx.arg what goes on.
--
-- Returns nothing, or ngx.ERROR, to be returned to nginx, where a plugin that fails closed failed: nginx then closes the connection.
-- Phases: body_filter.
function _M.body_filter(self)
    local r = get_request()
    if not r or get_phase() ~= "body_filter" then
        error("no request", 2)
    end

    local replaced, refused = outcomes.replace_body()
    if refused then
        return ngx.ERROR
    end

    if replaced or not self.filters_body then
        return
    end

    local chunk, eof = ngx.arg[1], ngx.arg[2]
    local last = eof and 1 or 0
    local changed = false

    for i = self.n, 1, -1 do
        local plugin = self[i]

        if chunk == "" and not eof then
            break
        end

        if plugin.filters_body then
            local rc = lib.proxy_wasm_stream_response_body(plugin.context, r, chunk, #chunk, last,
                                                           outcome)
            if rc >= 0 and band(rc, OUTCOME_TASKS) ~= 0 then
                attend()
            end

            if rc < 0 then
                if fails(plugin) then
                    return ngx.ERROR
                end

                if outcome.body.data ~= nil then
                    chunk = outcomes.body()
                    changed = true
                end

            elseif band(rc, OUTCOME_CLOSE) ~= 0 then
                return ngx.ERROR

            elseif band(rc, OUTCOME_BODY) ~= 0 then
                chunk = outcomes.body()
                changed = true

            elseif band(rc, OUTCOME_HOLD) ~= 0 then
                chunk = ""
                changed = true
            end
        end
    end

    if changed then
        ngx.arg[1] = chunk
    end
end


return _M
