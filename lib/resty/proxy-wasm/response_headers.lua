-- All headers of the response in the form that the library takes. nginx exports no C function that gives them.


local ffi = require "ffi"


local get_headers = ngx.resp.get_headers
local get_phase = ngx.get_phase
local pairs = pairs
local type = type


local array_type = ffi.typeof("ProxyWasmHeader[?]")
local size = 32
local array = array_type(size)


local _M = {}


-- the phases that run on a client's request
local PHASES = {
    rewrite = true, access = true, content = true, header_filter = true, body_filter = true, log = true,
}


-- Whether there is a response that has headers: lua-nginx-module raises an error where there is none.
function _M.available()
    return PHASES[get_phase()]
end


local function put(n, name, value)
    if n == size then
        local larger = array_type(size * 2)
        ffi.copy(larger, array, ffi.sizeof(array))
        array, size = larger, size * 2
    end

    local header = array[n]
    header.name.data, header.name.len = name, #name
    header.value.data, header.value.len = value, #value
end


-- Returns an array, its length, and what keeps its strings alive. The array is valid until the next call.
function _M.collect()
    local headers = get_headers(0, true)
    local n = 0

    for name, value in pairs(headers) do
        if type(value) == "table" then
            for i = 1, #value do
                put(n, name, value[i])
                n = n + 1
            end

        else
            put(n, name, value)
            n = n + 1
        end
    end

    return array, n, headers
end


return _M
