#!/usr/bin/env python3
"""What plugins cost, measured on an nginx that runs: see ci/bench.sh. What is measured is printed as JSON.

bench.py locations                               prints the locations of all rows, for nginx
bench.py bodies                                  writes the files that they put in capitals
bench.py rows --port N --workers PID ROUNDS      measures the rows
bench.py calls --port N --workers PID ROUNDS     a request that waits for another server
bench.py rate --port N --workers PID,... ROUNDS  some rows, as fast as the workers can
bench.py memory --port N --workers PID NAME PLUGINS  resident memory, after requests through each plugin
bench.py shared ALONE TOGETHER...                medians of what ci/bench-shared.sh has measured
bench.py copies FILE N                           writes that many copies of a plugin, of which no two are the same
bench.py list FILE                               one list of the JSON in a file
bench.py loads FILE...                           medians of what benches/load.conf has measured
"""

import argparse
import collections
import dataclasses
import functools
import http.client
import json
import os
import re
import statistics
import subprocess
import sys

# Sent with every request, besides Host: what a browser might send.
HEADERS = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "en-US,en;q=0.5",
    "Accept-Encoding": "gzip, deflate, br",
    "Referer": "https://example.com/",
    "Cookie": "session=5f4dcc3b5aa765d61d8327deb882cf99",
    "Cache-Control": "max-age=0",
}

BODIES = {"1k": 1 << 10, "64k": 64 << 10, "1m": 1 << 20}
LANGUAGES = {"wat": ".wat", "rust": "Rust", "assemblyscript": "AssemblyScript", "go": "Go"}


@dataclasses.dataclass
class Row:
    """A location, what it shows, and the row whose cost is taken off."""

    name: str
    text: str
    over: str | None = None
    access: str | None = None
    header: str | None = None
    body: str | None = None
    content: str = "empty_gif"
    # at most so many microseconds more than the row that is taken off
    target: float | None = None
    # what is counted in the difference
    times: int = 1


def rows():
    """All rows, in the order of the table."""
    request = "wasm.on_http_request_headers(contexts.{0}.{1})".format
    response = "wasm.on_http_response_headers(contexts.{0}.{1})".format

    yield Row("bare", "no handler")
    yield Row("noop", "empty Lua handlers, request and response headers", "bare", access="", header="")
    yield Row("noop-request", "an empty Lua handler, request headers", "bare", access="")
    yield Row("noop-response", "an empty Lua handler, response headers", "bare", header="")

    for language, name in LANGUAGES.items():
        yield Row(f"nothing-{language}", f"a plugin that does nothing, {name}", "noop", target=0.5,
                  access=request(language, "nothing"), header=response(language, "nothing"))

    yield Row("line", "Lua adds a response header", "bare", header='ngx.header["hello"] = "world"')
    for language, name in LANGUAGES.items():
        yield Row(f"add-{language}", f"a plugin adds a response header, {name}", "bare", target=0.8,
                  header=response(language, "add"))

    yield Row("get-headers", "Lua reads all request headers", "noop-request", access="ngx.req.get_headers(0)")
    for language, name in LANGUAGES.items():
        yield Row(f"read-{language}", f"a plugin reads all request headers, {name}", "noop-request", target=1.2,
                  access=request(language, "read"))

    for language in "wat", "rust":
        for count in 1, 10:
            chain = f"chains.{language}_{count}"
            yield Row(f"chain-{language}-{count}", f"a chain of {count} that do nothing, {LANGUAGES[language]}",
                      "noop" if count == 1 else f"chain-{language}-1", target=0.5, times=max(count - 1, 1),
                      access=f"{chain}:access()", header=f"{chain}:header_filter()")

    for language in "rust", "assemblyscript":
        context = f'local context = wasm.on_configure(plugins.{language}, "add") '
        yield Row(f"context-{language}", f"a plugin context made for each request, {LANGUAGES[language]}", "bare",
                  header=context + "wasm.on_http_response_headers(context)")

    for size in BODIES:
        file = f"alias {os.getcwd()}/build/bench-body-{size}"
        yield Row(f"body-{size}", f"a file of {size}", content=file, body="local _ = ngx.arg[1]")
        yield Row(f"body-{size}-lua", f"Lua puts a body of {size} in capitals", f"body-{size}", content=file,
                  header="ngx.header.content_length = nil", body="capitals()")
        yield Row(f"body-{size}-rust", f"a plugin puts a body of {size} in capitals, Rust", f"body-{size}", content=file,
                  header=response("rust", "body"), body="wasm.on_http_response_body(contexts.rust.body)")


@functools.cache
def paths():
    """The path of each row: all as long, as nginx takes longer for longer ones."""
    return {row.name: f"row-{number:02}" for number, row in enumerate(rows())}


def location(row):
    """A row's location in nginx."""
    lines = [f"{row.content};"]
    for phase, code in ("access", row.access), ("header_filter", row.header), ("body_filter", row.body):
        if code is not None:
            lines.append(f"{phase}_by_lua_block {{ {code} }}")
    return f"location = /{paths()[row.name]} {{\n    " + "\n    ".join(lines) + "\n}\n"


def write_bodies():
    """The files that are put in capitals."""
    for name, size in BODIES.items():
        with open(f"build/bench-body-{name}", "wb") as file:
            file.write(b"Hello, World 0123456789 abcdefg\n" * (size // 32))


def write_copies(name, count):
    """Copies of a plugin with a section that is not used, one byte of which differs."""
    with open(name, "rb") as file:
        plugin = file.read()
    os.makedirs("build/bench-copies", exist_ok=True)
    for number in range(1, count + 1):
        section = b"\x04copy" + bytes([number])
        with open(f"build/bench-copies/{number}.wasm", "wb") as file:
            file.write(plugin + bytes([0, len(section)]) + section)


def cpu(pid):
    """Nanoseconds that a process has had a processor for, user and system, with all its threads."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total


def wrk(url, connections, seconds=1, pinned=True):
    """Has wrk send requests, and answers with what it says."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--latency", url]
    for name, value in HEADERS.items():
        command += ["-H", f"{name}: {value}"]
    processors = sorted(os.sched_getaffinity(0))
    if pinned and len(processors) > 1:
        # Workers keep to the first ones.
        command = ["taskset", "-c", str(processors[-1])] + command
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        sys.exit(f"bench: {url}: {output}")
    return output


def measure(name, port, workers, connections=16, pinned=True):
    """Microseconds of the workers for each request, requests in a second, and what wrk says."""
    before = sum(map(cpu, workers))
    output = wrk(f"http://127.0.0.1:{port}/{paths().get(name, name)}", connections, pinned=pinned)
    used = (sum(map(cpu, workers)) - before) / 1000
    answered, passed, unit = re.search(r"(\d+) requests in ([\d.]+)(m?s)", output).groups()
    seconds = float(passed) / (1000 if unit == "ms" else 1)
    return used / int(answered), int(answered) / seconds, output


def quartiles(values):
    """The median and those around it."""
    if len(values) < 2:
        return [values[0]] * 3
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return middle, low, high


def measure_rows(port, workers, rounds, names):
    """Measures each row in interleaved rounds, and compares it in each with the one that is taken off."""
    chosen = list(rows())
    if names:
        wanted = {row.name for row in chosen if any(re.fullmatch(name, row.name) for name in names)}
        wanted |= {row.over for row in chosen if row.name in wanted and row.over}
        chosen = [row for row in chosen if row.name in wanted]
    samples = {row.name: [] for row in chosen}
    for row in chosen:
        measure(row.name, port, workers)
    for number in range(rounds):
        # Not always in the same order: what comes before may leave something behind.
        for row in chosen if number % 2 else reversed(chosen):
            samples[row.name].append(measure(row.name, port, workers)[:2])
    result = []
    for row in chosen:
        microseconds = [us for us, _ in samples[row.name]]
        measured = {
            "name": row.name,
            "text": row.text,
            "microseconds": statistics.median(microseconds),
            "requests_per_second": statistics.median(rate for _, rate in samples[row.name]),
        }
        if row.over:
            differences = [(us - other) / row.times
                           for us, (other, _) in zip(microseconds, samples[row.over])]
            middle, low, high = quartiles(differences)
            measured |= {"over": row.over, "added": middle, "quartiles": [low, high], "target": row.target, "times": row.times}
        result.append(measured)
    return result


def microseconds(output, percent):
    """What so many percent of the requests got in, of what wrk says."""
    number, unit = re.search(rf"^ +{percent}% +([\d.]+)(us|ms|s)$", output, re.M).groups()
    return float(number) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]


def measure_calls(port, workers, rounds):
    """Requests that wait for another server: asked by a plugin, and by a cosocket."""
    samples = collections.defaultdict(list)
    for _ in range(rounds):
        for connections in 1, 32:
            for name in "auth", "cosocket":
                us, rate, output = measure(name, port, workers, connections)
                samples[name, connections].append((us, rate, microseconds(output, 50), microseconds(output, 99)))
    keys = "microseconds", "requests_per_second", "waiting_50", "waiting_99"
    return [{"name": name, "connections": connections} | dict(zip(keys, map(statistics.median, zip(*values))))
            for (name, connections), values in samples.items()]


def measure_rate(port, workers, rounds):
    """What so many workers can do."""
    samples = collections.defaultdict(list)
    for number in range(rounds + 1):
        for name in "bare", "line", "add-rust":
            # With one worker there may be a processor for wrk alone.
            sample = measure(name, port, workers, 32, pinned=len(workers) == 1)[:2]
            if number:
                samples[name].append(sample)
    keys = "microseconds", "requests_per_second"
    return [{"name": name, "workers": len(workers)} | dict(zip(keys, map(statistics.median, zip(*values))))
            for name, values in samples.items()]


def measure_memory(port, worker, name, plugins):
    """KB that a worker has in memory, after 1,000 requests through each plugin."""
    connection = http.client.HTTPConnection("127.0.0.1", int(port))
    for number in range(max(plugins, 1)):
        for _ in range(1000):
            connection.request("GET", f"/run?plugin={number + 1}", headers=HEADERS)
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                sys.exit(f"bench: plugin {number + 1}: {response.status}")
    with open(f"/proc/{worker}/smaps_rollup", encoding="ascii") as file:
        fields = dict(re.findall(r"^(\w+): +(\d+) kB$", file.read(), re.M))
    return {"name": name, "plugins": plugins, "rss": int(fields["Rss"]), "pss": int(fields["Pss"])}


def read_tabs(name):
    with open(name, encoding="utf-8") as file:
        return [line.rstrip("\n").split("\t") for line in file]


def shared_medians(alone, together):
    """What the store costs one worker, and some that are at one key at the same time."""
    result = {"alone": [], "workers": len(together), "together": []}
    samples = collections.defaultdict(list)
    for _, what, who, _, used in read_tabs(alone):
        samples[what, who].append(float(used))
    result["alone"] = [{"what": what, "who": who, "ns": statistics.median(values)} for (what, who), values in samples.items()]

    rounds = collections.defaultdict(lambda: collections.defaultdict(list))
    used_by = collections.defaultdict(list)
    for name in together:
        for number, what, who, clock, used in read_tabs(name):
            rounds[what, who][number].append(float(clock))
            used_by[what, who].append(float(used))
    for (what, who), clocks in rounds.items():
        last = statistics.median(map(max, clocks.values()))
        result["together"].append({
            "what": what, "who": who, "ns": statistics.median(used_by[what, who]),
            "millions_per_second": len(together) * 1000 / last,
            "first": statistics.median(map(min, clocks.values())), "last": last,
        })
    return result


def load_medians(files):
    """Milliseconds of CPU that loading took, by plugin and how it was loaded."""
    samples = collections.defaultdict(list)
    sizes = {}
    for name in files:
        for plugin, size, how, seconds in read_tabs(name):
            samples[plugin, how].append(float(seconds))
            sizes[plugin] = int(size)
    ways = "cold", "cache", "memory", "instance"
    return [{"plugin": plugin, "size": size,
             "ms": {how: statistics.median(samples[plugin, how]) * 1000 for how in ways if samples[plugin, how]},
             # starts that did not find in the cache what another has compiled
             "starts": len(samples[plugin, "missed"]), "missed": int(sum(samples[plugin, "missed"]))}
            for plugin, size in sizes.items()]


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("locations")
    commands.add_parser("bodies")
    for name, last in ("rows", "rounds"), ("calls", "rounds"), ("rate", "rounds"), ("memory", "plugins"):
        measuring = commands.add_parser(name)
        measuring.add_argument("--port", required=True)
        measuring.add_argument("--workers", type=lambda text: text.split(","), required=True)
        if name == "rows":
            measuring.add_argument("--row", action="append", help="only those that match")
        if name == "memory":
            measuring.add_argument("name")
        measuring.add_argument(last, type=int)
    shared = commands.add_parser("shared")
    shared.add_argument("alone")
    shared.add_argument("together", nargs="+")
    commands.add_parser("loads").add_argument("files", nargs="+")
    copies = commands.add_parser("copies")
    copies.add_argument("file")
    copies.add_argument("count", type=int)
    commands.add_parser("list").add_argument("file")
    arguments = parser.parse_args()

    match arguments.command:
        case "locations":
            print("".join(map(location, rows())))
            return
        case "bodies":
            write_bodies()
            return
        case "copies":
            write_copies(arguments.file, arguments.count)
            return
        case "list":
            with open(arguments.file, encoding="utf-8") as file:
                result = [item for line in file for item in json.loads(line)]
        case "rows":
            result = measure_rows(arguments.port, arguments.workers, arguments.rounds, arguments.row)
        case "calls":
            result = measure_calls(arguments.port, arguments.workers, arguments.rounds)
        case "rate":
            result = measure_rate(arguments.port, arguments.workers, arguments.rounds)
        case "memory":
            [worker] = arguments.workers
            result = [measure_memory(arguments.port, worker, arguments.name, arguments.plugins)]
        case "shared":
            result = shared_medians(arguments.alone, arguments.together)
        case "loads":
            result = load_medians(arguments.files)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
