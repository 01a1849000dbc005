-- What APISIX does with Proxy-Wasm plugins, as far as the library can tell: apisix/wasm.lua's order of calls, and around it just
-- enough of routes, global rules and phases.
--
-- A conf object is a table { conf = "string" or table }: contexts are kept in it, so a changed one makes new contexts.


local cjson = require "cjson.safe"

local supported, wasm = pcall(require, "resty.proxy-wasm")


local _M = {
    plugins = {},   -- by priority, highest first
    routes = {},    -- by id: { uri, plugins = { name = conf object } }
    rules = {},     -- global rules: a list of { id, plugins }
}


local function context_for(conf, owner, handle)
    conf.contexts = conf.contexts or {}
    local context = conf.contexts[owner]

    if not context then
        local text = type(conf.conf) == "table" and cjson.encode(conf.conf) or conf.conf
        local err
        context, err = wasm.on_configure(handle, text)
        if not context then
            return nil, err
        end

        conf.contexts[owner] = context
    end

    return context
end


local function failed(name, what, err)
    ngx.log(ngx.WARN, name, ": failed to ", what, ": ", err)
    return 503
end


local function request_body()
    ngx.req.read_body()
    local body = ngx.req.get_body_data()
    if body then
        return body
    end

    local path = ngx.req.get_body_file()
    if not path then
        return nil
    end

    local file = assert(io.open(path, "rb"))
    body = file:read("*a")
    file:close()

    return body
end


local function on_request(name, handle, conf, owner)
    local context, err = context_for(conf, owner, handle)
    if not context then
        return failed(name, "fetch wasm plugin ctx", err)
    end

    local ok
    ok, err = wasm.on_http_request_headers(context)
    if not ok then
        return failed(name, "run wasm plugin", err)
    end

    if ngx.var.wasm_process_req_body ~= "" then
        ngx.var.wasm_process_req_body = ""
        ok, err = wasm.on_http_request_body(context, request_body(), true)
        if not ok then
            return failed(name, "run wasm plugin", err)
        end
    end
end


local function on_header(name, handle, conf, owner)
    local context, err = context_for(conf, owner, handle)
    if not context then
        return failed(name, "fetch wasm plugin ctx", err)
    end

    local ok
    ok, err = wasm.on_http_response_headers(context)
    if not ok then
        return failed(name, "run wasm plugin", err)
    end

    if ngx.var.wasm_process_resp_body ~= "" then
        ngx.var.wasm_process_resp_body = ""
        ngx.ctx["wasm_" .. name .. "_process_resp_body"] = true
    end
end


local function on_body(name, handle, conf, owner)
    if not ngx.ctx["wasm_" .. name .. "_process_resp_body"] then
        return
    end

    local context, err = context_for(conf, owner, handle)
    if not context then
        failed(name, "fetch wasm plugin ctx", err)
        return
    end

    local ok
    ok, err = wasm.on_http_response_body(context)
    if not ok then
        failed(name, "run wasm plugin", err)
    end
end


-- As apisix/plugin.lua with the entries of wasm.plugins in config.yaml, in init_worker.
function _M.load(entries)
    if not supported then
        return nil, wasm
    end

    for _, entry in ipairs(entries) do
        local handle, err = wasm.load(entry.name, entry.file)
        if not handle then
            return nil, err
        end

        assert(type(handle) == "cdata")
        _M.plugins[#_M.plugins + 1] = {
            name = entry.name,
            priority = entry.priority,
            handle = handle,
            [entry.http_request_phase == "rewrite" and "rewrite" or "access"] = on_request,
            header_filter = on_header,
            body_filter = on_body,
        }
    end

    table.sort(_M.plugins, function(a, b) return a.priority > b.priority end)
    return true
end


local function run_all(phase, confs, owner)
    for _, plugin in ipairs(_M.plugins) do
        local run, conf = plugin[phase], confs[plugin.name]
        if run and conf then
            local code = run(plugin.name, plugin.handle, conf, owner)
            if code and phase ~= "header_filter" then
                return ngx.exit(code)
            end
        end
    end
end


local function run_rules(phase)
    for _, rule in ipairs(_M.rules) do
        run_all(phase, rule.plugins, "global_rule#" .. rule.id)
    end
end


local function run_route(phase)
    for id, route in pairs(_M.routes) do
        if route.uri == ngx.var.uri then
            run_all(phase, route.plugins, "route#" .. id)
        end
    end
end


function _M.access()
    run_rules("rewrite")
    run_rules("access")
    run_route("rewrite")
    run_route("access")
end


function _M.header_filter()
    run_rules("header_filter")
    run_route("header_filter")
end


function _M.body_filter()
    run_rules("body_filter")
    run_route("body_filter")
end


return _M
