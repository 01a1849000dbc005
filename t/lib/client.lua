-- A client for requests that a test's Lua sends to its own server, one connection each, and a look at the server's log.


local _M = {}


local function dechunk(text)
    local chunks = {}

    while true do
        local size, rest = text:match("^(%x+)[^\r]*\r\n(.*)$")
        if not size then
            return table.concat(chunks), "truncated"
        end

        size = tonumber(size, 16)
        if size == 0 then
            return table.concat(chunks)
        end

        chunks[#chunks + 1] = rest:sub(1, size)
        text = rest:sub(size + 3)
    end
end


-- Parses one response; a body without length or chunks goes to the end.
function _M.parse(text, method)
    local head, body = text:match("^(.-)\r\n\r\n(.*)$")
    if not head then
        return { status = 0, headers = {}, body = text }
    end

    local res = { status = tonumber(head:match("^HTTP/%S+ (%d+)")), headers = {}, head = head }
    for name, value in head:gmatch("\r\n([^:]+): ?([^\r]*)") do
        name = name:lower()
        local before = res.headers[name]
        res.headers[name] = before and before .. ", " .. value or value
    end

    if res.headers["transfer-encoding"] == "chunked" then
        res.body, res.err = dechunk(body)

    else
        local length = tonumber(res.headers["content-length"])
        res.body = length and body:sub(1, length) or body
        if length and #body < length and method ~= "HEAD" then
            res.err = "truncated"
        end
    end

    return res
end


-- Sends text and gives everything that comes back until the server (by default this one) closes the connection.
function _M.send(text, port)
    local socket = ngx.socket.tcp()
    socket:settimeout(10000)
    assert(socket:connect("127.0.0.1", port or ngx.var.server_port))
    assert(socket:send(text))
    local answer, err, partial = socket:receive("*a")
    socket:close()

    return answer or partial, err
end


-- Sends the same request n times on one connection, one after the other, and gives the responses.
function _M.keepalive(n, text)
    local socket = ngx.socket.tcp()
    socket:settimeout(10000)
    assert(socket:connect("127.0.0.1", ngx.var.server_port))
    local responses = {}

    for i = 1, n do
        assert(socket:send(text))
        local head = assert(socket:receiveuntil("\r\n\r\n")()) .. "\r\n\r\n"
        local length = head:lower():match("\r\ncontent%-length: (%d+)")

        if length then
            head = head .. assert(socket:receive(tonumber(length)))

        elseif head:lower():find("\r\ntransfer-encoding: chunked", 1, true) then
            repeat
                local line = assert(socket:receive("*l"))
                local size = tonumber(line, 16)
                head = head .. line .. "\r\n" .. assert(socket:receive(size + 2))
            until size == 0
        end

        responses[i] = _M.parse(head)
    end

    socket:close()
    return responses
end


-- request("POST /path", { name = "value" }, "body") gives a table with status, headers (lower case), body, and err where it was cut short.
function _M.request(line, headers, body)
    local method, uri = line:match("^(%S+) (.*)$")
    local text = method .. " " .. uri .. " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    for name, value in pairs(headers or {}) do
        text = text .. name .. ": " .. value .. "\r\n"
    end

    if body then
        text = text .. "Content-Length: " .. #body .. "\r\n"
    end

    return _M.parse(_M.send(text .. "\r\n" .. (body or "")), method)
end


-- The body that another server has at a path.
function _M.body(port, path)
    return _M.parse(_M.send("GET " .. path .. " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", port)).body
end


-- Waits, up to 5 seconds, until condition() holds. Says whether it does.
function _M.wait_for(condition)
    for _ = 1, 500 do
        if condition() then
            return true
        end

        ngx.sleep(0.01)
    end

    return false
end


-- Waits, up to 5 seconds, until n lines of the error log (1) match. Says whether they do, and how many if not.
function _M.logged(pattern, n)
    local found

    local all = _M.wait_for(function()
        found = 0
        for line in io.lines(ngx.config.prefix() .. "logs/error.log") do
            if line:find(pattern) then
                found = found + 1
            end
        end

        return found >= (n or 1)
    end)

    if not all then
        return false, found
    end

    return true
end


return _M
