-- Carries out what a callback left to do: see ProxyWasmOutcome.


local bit = require "bit"
local ffi = require "ffi"
local base = require "resty.core.base"
local cdefs = require "resty.proxy-wasm.cdefs"
local background = require "resty.proxy-wasm.background"
local semaphore = require "ngx.semaphore"


local lib = cdefs.lib
local attend = background.attend
local look = background.look
local get_request = base.get_request
local band = bit.band
local ffi_cast = ffi.cast
local ffi_str = ffi.string
local find = string.find
local lower = string.lower
local min = math.min
local log = ngx.log
local ngx = ngx
local pairs = pairs
local pcall = pcall
local tonumber = tonumber
local tostring = tostring
local type = type


local OUTCOME_BODY = cdefs.OUTCOME_BODY
local OUTCOME_LOCAL_RESPONSE = cdefs.OUTCOME_LOCAL_RESPONSE
local OUTCOME_CLOSE = cdefs.OUTCOME_CLOSE
local OUTCOME_PATH = cdefs.OUTCOME_PATH
local OUTCOME_ARGS = cdefs.OUTCOME_ARGS
local OUTCOME_WAIT = cdefs.OUTCOME_WAIT
local OUTCOME_TASKS = cdefs.OUTCOME_TASKS

-- nginx closes the connection without a response
local CLOSE = 444

local SWITCHING_PROTOCOLS = 101

local ERROR_PAGE = "<html>\r\n<head><title>500 Internal Server Error</title></head>\r\n<body>\r\n"
    .. "<center><h1>500 Internal Server Error</h1></center>\r\n</body>\r\n</html>\r\n"

-- after so many seconds without a word a request that waits looks itself, should nobody listen
local SILENCE = 5

local GRPC_UNKNOWN = 2
local GRPC_BY_STATUS = {
    [400] = 13, [401] = 16, [403] = 7, [404] = 12,
    [429] = 14, [502] = 14, [503] = 14, [504] = 14,
}

-- these belong to the connection and not to the response that is replaced
local KEPT_HEADERS = {
    connection = true,
    date = true,
    ["keep-alive"] = true,
    server = true,
    ["transfer-encoding"] = true,
}


-- what is allocated once serves every request: nothing yields between a call and the reading of its outcome
local outcome = ffi.new("ProxyWasmOutcome")


local _M = {
    outcome = outcome,
}


local function str(value)
    return ffi_str(value.data, value.len)
end


-- The local response as status, body and a table of headers.
local function local_response()
    local status = outcome.status
    local body = str(outcome.local_body)
    local headers = {}

    for i = 0, tonumber(outcome.headers_len) - 1 do
        local header = outcome.headers[i]
        local name, value = str(header.name), str(header.value)
        local key = lower(name)
        local present = headers[key]

        if present == nil then
            headers[key] = value

        elseif type(present) == "table" then
            present[#present + 1] = value

        else
            headers[key] = { present, value }
        end
    end

    -- the length is the body's, whatever the plugin says
    headers["content-length"] = nil
    headers["transfer-encoding"] = nil

    local content_type = ngx.var.content_type
    if content_type and find(content_type, "application/grpc", 1, true) == 1 then
        local grpc_status = outcome.grpc_status
        if grpc_status < 0 then
            grpc_status = GRPC_BY_STATUS[status] or GRPC_UNKNOWN
        end

        headers["content-type"] = "application/grpc"
        headers["grpc-status"] = tostring(grpc_status)
        headers["grpc-message"] = body ~= "" and ngx.escape_uri(body) or nil

        return 200, "", headers
    end

    return status, body, headers
end


local function send_local_response()
    local status, body, headers = local_response()

    -- nginx does so as well, but later: its "100 Continue" would come in the middle of the response
    ngx.req.discard_body()

    for name, value in pairs(headers) do
        ngx.header[name] = value
    end

    if headers["grpc-status"] or status == 204 or status == 304 then
        -- a response that ends with its headers
        ngx.status = status
        ngx.send_headers()
        return ngx.exit(ngx.HTTP_OK)
    end

    if body == "" then
        return ngx.exit(status)
    end

    ngx.status = status
    ngx.header["content-length"] = #body
    ngx.print(body)

    return ngx.exit(status)
end


-- Puts another response in the place of one whose headers are about to be sent. Its body follows in the body filter.
local function replace_response(status, body, headers)
    if ngx.status == SWITCHING_PROTOCOLS then
        -- nginx goes on to the other protocol, unless it fails
        lib.proxy_wasm_request_bypass(get_request())
        return ngx.exit(status >= 400 and status or ngx.HTTP_BAD_GATEWAY)
    end

    for name in pairs(ngx.resp.get_headers(0, true)) do
        if not KEPT_HEADERS[lower(name)] then
            ngx.header[name] = nil
        end
    end

    ngx.status = status

    for name, value in pairs(headers) do
        ngx.header[name] = value
    end

    if body ~= "" and not headers["content-type"] then
        ngx.header["content-type"] = "text/plain"
    end

    local r = get_request()
    if lib.proxy_wasm_request_keep_body(r, body, #body) == 0 then
        return
    end

    -- the library has no filter in nginx: the body is for the body filter in Lua to send
    ngx.ctx.proxy_wasm_body = body

    if ngx.req.get_method() ~= "HEAD" and status >= 200 and status ~= 204 and status ~= 304 then
        lib.proxy_wasm_request_owes_body(r, 1)
    end

    -- APISIX asks through this variable whether its body filter is to call the plugin
    if ngx.var.wasm_process_resp_body == "" then
        ngx.var.wasm_process_resp_body = "true"
    end
end


-- Puts an error in the place of a response whose headers are about to be sent, which no plugin sees. To leave it to nginx would be an internal
-- redirect where there is an error_page: a handler in Lua that sends the response does not survive that.
function _M.fail_response()
    replace_response(ngx.HTTP_INTERNAL_SERVER_ERROR, ERROR_PAGE, { ["content-type"] = "text/html" })
    lib.proxy_wasm_request_bypass(get_request())
end


-- In the body filter: puts the body of a local response in the place of what upstream sent. False where there is none; the second value is true
-- where nothing is to be sent any more.
function _M.replace_body()
    local ctx = ngx.ctx

    -- a handler in Lua may go on where the headers of its response were refused
    if ctx.proxy_wasm_closed then
        return false, true
    end

    local body = ctx.proxy_wasm_body
    if body == nil then
        return false
    end

    ctx.proxy_wasm_body = nil
    lib.proxy_wasm_request_owes_body(get_request(), 0)

    -- in this order: an empty body leaves no buffer that could be marked as the last
    ngx.arg[2] = true
    ngx.arg[1] = body

    return true
end


local function set_path(rc)
    local ok, err = pcall(ngx.req.set_uri, str(outcome.path), false, true)
    if not ok then
        log(ngx.ERR, "proxy-wasm: the new path was not set: ", err)
        return
    end

    local args = ""
    if band(rc, OUTCOME_ARGS) ~= 0 then
        args = str(outcome.args)
    end

    ngx.req.set_uri_args(args)
end


-- Semaphores that nobody waits on, and all that there are, by address. The library may post one until its request has ended, also where
-- the light thread was killed as it waited: none may be collected.
local idle = {}
local all = {}


local function address(pointer)
    return tonumber(ffi_cast("uintptr_t", pointer))
end


local function give_back(sema)
    -- it may have been posted more than once
    while sema:count() > 0 do
        sema:wait(0)
    end

    idle[#idle + 1] = sema
end


local function take_semaphore()
    local left = lib.proxy_wasm_request_left_semaphore()
    if left ~= nil then
        local sema = all[address(left)]
        -- it may be of another Lua VM
        if sema then
            give_back(sema)
        end
    end

    local n = #idle
    local sema = idle[n]

    if sema then
        idle[n] = nil
        return sema
    end

    sema = semaphore.new(0)
    all[address(sema.sem)] = sema

    return sema
end


-- Waits until something has become of a request that its plugin holds, and lets the plugin know. Returns an answer as that of the
-- callback that it waits for.
local function wait(context, r)
    local sema = take_semaphore()
    local seconds = outcome.wait / 1000

    lib.proxy_wasm_request_park(r, sema.sem)

    if not sema:wait(min(seconds, SILENCE)) then
        look()
    end

    local rc = lib.proxy_wasm_stream_resume(context, r, sema.sem, outcome)
    give_back(sema)

    return rc
end


-- Carries out the outcome of a callback in a request phase: waits, without blocking the worker, for as long as the request is held.
-- Does not return where the request is over.
--
-- Returns the last outcome, which is negative where a callback failed while the request waited; then the caller attends.
function _M.apply_request(rc, context, r)
    while band(rc, OUTCOME_WAIT) ~= 0 do
        if band(rc, OUTCOME_PATH) ~= 0 then
            set_path(rc)
        end

        if band(rc, OUTCOME_TASKS) ~= 0 then
            attend()
        end

        rc = wait(context, r)

        if rc < 0 then
            return rc
        end
    end

    if band(rc, OUTCOME_TASKS) ~= 0 then
        attend()
    end

    if band(rc, OUTCOME_LOCAL_RESPONSE) ~= 0 then
        return send_local_response()
    end

    if band(rc, OUTCOME_CLOSE) ~= 0 then
        return ngx.exit(CLOSE)
    end

    if band(rc, OUTCOME_PATH) ~= 0 then
        set_path(rc)
    end

    if band(rc, OUTCOME_BODY) ~= 0 then
        ngx.req.read_body()
        ngx.req.set_body_data(str(outcome.body))
    end

    return rc
end


-- Carries out the outcome of a callback in the header filter.
function _M.apply_response_headers(rc)
    if band(rc, OUTCOME_TASKS) ~= 0 then
        attend()
    end

    if band(rc, OUTCOME_LOCAL_RESPONSE) ~= 0 then
        return replace_response(local_response())
    end

    if band(rc, OUTCOME_CLOSE) ~= 0 then
        if ngx.req.get_method() == "HEAD" then
            -- a handler in Lua would end without a response, and without a body the connection would go on
            return _M.fail_response()
        end

        ngx.ctx.proxy_wasm_closed = true
        return ngx.exit(ngx.ERROR)
    end
end


-- The body that goes on.
function _M.body()
    return str(outcome.body)
end


return _M
