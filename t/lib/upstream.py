"""Servers for tests of calls, on 127.0.0.1: one that speaks HTTP/1.1 by hand, and misbehaves as the path says, and one for gRPC.

    upstream.py raw grpc grpcs=FOLDER

starts those named, `grpcs` with FOLDER/good.pem and FOLDER/key.pem, and prints a line `raw=PORT refused=PORT silent=PORT full=PORT grpc=PORT
grpcs=PORT`. The process ends when its standard input does, so that it cannot outlive a test.

Beside `raw`: to `refused` nobody listens, on `silent` connections are accepted and nothing is said or read, and `full` accepts none.
"""

import asyncio
import os
import socket
import struct
import sys

# How many connections there have been, and how many requests wait in vain.
connections = 0
waiting = 0


class Request:
    def __init__(self, method, target, version):
        self.method, self.target, self.version = method, target, version
        self.headers, self.trailers, self.body = [], [], b""

    def header(self, name):
        return next((value for key, value in self.headers if key.lower() == name), "")


async def read_fields(reader):
    fields = []
    while line := (await reader.readuntil(b"\r\n")).strip():
        name, _, value = line.decode("latin-1").partition(":")
        fields.append((name, value.strip()))
    return fields


async def read_request(reader):
    """The next request on a connection, or None at its end."""
    first = await reader.read(1)
    # TLS is not spoken here, and it has no lines to wait for the end of
    line = b"" if first == b"\x16" else first + await reader.readline()
    words = line.decode("latin-1").split()
    if len(words) != 3:
        return None
    request = Request(*words)
    request.headers = await read_fields(reader)
    if request.header("transfer-encoding").lower() == "chunked":
        while size := int((await reader.readline()).split(b";")[0], 16):
            request.body += (await reader.readexactly(size + 2))[:-2]
        request.trailers = await read_fields(reader)
    else:
        request.body = await reader.readexactly(int(request.header("content-length") or 0))
    return request


def head(status, *fields):
    return "".join(line + "\r\n" for line in (f"HTTP/1.1 {status}", *fields, "")).encode("latin-1")


def answer(request, text, *fields):
    body = text.encode("latin-1")
    return head("200 OK", f"Content-Length: {len(body)}", *fields) + (body if request.method != "HEAD" else b"")


def listed(fields):
    return "".join(f"{name}: {value}\n" for name, value in fields)


async def wait_for_end(reader):
    """Reads until the other side has had enough."""
    global waiting
    waiting += 1
    try:
        await reader.read()
    finally:
        waiting -= 1


async def respond(request, number, reader, writer):
    """Answers the connection's request of that number. Says whether the connection may have another one."""
    kind, _, argument = request.target.partition("?")[0][1:].partition("/")
    write = writer.write
    match kind:
        case "echo":
            line = f"{request.method} {request.target} {request.version}\n"
            body = request.body.decode("latin-1")
            write(answer(request, f"{line}{listed(request.headers)}\n{body}\n{listed(request.trailers)}"))
        case "count":
            # which request of its connection this is, and of which connection of this server
            write(answer(request, str(number), f"X-Connections: {connections}"))
        case "waiting":
            write(answer(request, str(waiting)))
        case "slow":
            await asyncio.sleep(int(argument) / 1000)
            write(answer(request, f"after {argument} ms"))
        case "bye":
            write(answer(request, "and the connection is closed, of which the headers say nothing"))
            return False
        case "hints":
            write(head("100 Continue") + head("103 Early Hints", "Link: </a>") + answer(request, "at last"))
        case "until-close":
            write(head("200 OK", "Connection: close") + b"as long as it lasts")
            return False
        case "trailers":
            fields = [f"X-Request-Trailers: {'; '.join('='.join(field) for field in request.trailers)}"]
            write(head("200 OK", "Transfer-Encoding: chunked", "Trailer: X-Sum, X-Other", *fields))
            write(b"5\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 11\r\nX-Other: a\r\nX-Other: b\r\n\r\n")
        case "headers":
            write(answer(request, "", *(f"X-Header-{i}: {i}" for i in range(int(argument)))))
        case "bigheader":
            write(answer(request, "", "X-Big: " + "x" * (1 << 20)))
        case "big" | "big-chunked":
            size = 100 << 20
            chunked = kind == "big-chunked"
            write(head("200 OK", "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"))
            for _ in range(size >> 16):
                piece = b"x" * (1 << 16)
                write(b"10000\r\n" + piece + b"\r\n" if chunked else piece)
                await writer.drain()
            write(b"0\r\n\r\n" if chunked else b"")
        case "reset":
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
            return False
        case "close":
            return False
        case "half":
            write(head("200 OK", "Content-Length: 100") + b"ten bytes.")
            return False
        case "half-chunked":
            write(head("200 OK", "Transfer-Encoding: chunked") + b"a\r\nten bytes.\r\n")
            return False
        case "half-header":
            write(head("200 OK", "X-Whole: 1", "X-Half")[:-5])
            return False
        case "garbage":
            write(b"220 mail.example.com ESMTP at your service\r\n" * 4)
            return False
        case "stall":
            write(head("200 OK", "Content-Length: 100"))
            await wait_for_end(reader)
            return False
        case "never":
            await wait_for_end(reader)
            return False
        case _:
            write(head("404 Not Found", "Content-Length: 0"))
    return request.header("connection").lower() != "close"


async def connected(reader, writer):
    global connections
    connections += 1
    number = 0
    try:
        while request := await read_request(reader):
            number += 1
            if not await respond(request, number, reader, writer):
                break
            await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError, ValueError):
        pass
    finally:
        writer.close()


def bound(backlog=None):
    """A socket with a port of its own, listening if a backlog is given."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    if backlog is not None:
        sock.listen(backlog)
    held.append(sock)
    return sock.getsockname()


held = []


async def start_raw():
    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    held.append(server)
    full = bound(0)
    for _ in range(8):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(full)
        held.append(sock)
    return {
        "raw": server.sockets[0].getsockname()[1],
        "refused": bound()[1],
        "silent": bound(128)[1],
        "full": full[1],
    }


async def start_grpc(name, folder):
    import grpc

    def metadata(context):
        return [(name, value) for name, value in context.invocation_metadata() if name.startswith("x-")]

    async def greet(context):
        await context.send_initial_metadata(metadata(context))
        context.set_trailing_metadata([("x-trailing", "yes"), ("x-binary-bin", b"\0\xff")])

    async def unary(message, context):
        await greet(context)
        return message

    async def about(message, context):
        """Answers with what came along with the message."""
        remaining = context.time_remaining()
        fields = listed((name, value) for name, value in context.invocation_metadata())
        limit = "a" if remaining is not None and remaining < 3600 else "no"
        return fields.encode() + f"{limit} deadline\n".encode() + message

    async def fail(message, context):
        code, _, details = message.decode().partition(" ")
        status = next(status for status in grpc.StatusCode if status.value[0] == int(code))
        await context.abort(status, details, (("x-failed", "yes"),))

    async def never(message, context):
        await asyncio.Event().wait()

    async def large(message, context):
        return b"x" * int(message)

    async def echo(messages, context):
        await greet(context)
        async for message in messages:
            yield message

    async def many(message, context):
        for i in range(int(message)):
            yield str(i + 1).encode()

    async def abort(message, context):
        for i in range(int(message)):
            yield str(i + 1).encode()
        await context.abort(grpc.StatusCode.DATA_LOSS, "lost on the way: 100% \u00fc")

    methods = {
        "/test.Echo/" + name: handler
        for name, handler in {
            "Unary": grpc.unary_unary_rpc_method_handler(unary),
            "About": grpc.unary_unary_rpc_method_handler(about),
            "Fail": grpc.unary_unary_rpc_method_handler(fail),
            "Never": grpc.unary_unary_rpc_method_handler(never),
            "Large": grpc.unary_unary_rpc_method_handler(large),
            "Stream": grpc.stream_stream_rpc_method_handler(echo),
            "Many": grpc.unary_stream_rpc_method_handler(many),
            "Abort": grpc.unary_stream_rpc_method_handler(abort),
        }.items()
    }

    class Handler(grpc.GenericRpcHandler):
        def service(self, details):
            return methods.get(details.method)

    server = grpc.aio.server(handlers=[Handler()], options=[("grpc.so_reuseport", 0)])
    if folder:
        pair = [open(f"{folder}/{file}", "rb").read() for file in ("key.pem", "good.pem")]
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    held.append(server)
    return {name: port}


async def main():
    loop = asyncio.get_running_loop()
    # of calls that are given up
    loop.set_exception_handler(lambda *_: None)
    loop.add_reader(sys.stdin, lambda: os.read(0, 1) or os._exit(0))
    ports = {}
    for wanted in sys.argv[1:]:
        name, _, folder = wanted.partition("=")
        ports |= await (start_raw() if name == "raw" else start_grpc(name, folder))
    print(*(f"{name}={port}" for name, port in ports.items()), flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
