#!/usr/bin/env python3
"""What requests cost in instructions, counted by callgrind in an nginx that runs under it: see ci/instructions.sh."""

import argparse
import glob
import os
import re
import socket
import subprocess
import sys

import bench

CHOSEN = r"bare|noop.*|line|nothing-.*|add-.*|read-.*|chain-.*|context-rust|body-1k|body-1k-rust"

# LuaJIT has compiled then what it will.
WARM_UP = 400
# What comes to a request now and then, as for a timer, does not come in all rounds.
ROUNDS = 3
REQUESTS = 200

# A row fails that adds more than is committed, by both.
MORE_OF_IT = 0.1
MORE = 300


class Connection:
    """A connection to nginx that is kept."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.file = self.socket.makefile("rb")
        headers = {"Host": f"127.0.0.1:{port}"} | bench.HEADERS
        self.headers = "".join(f"{name}: {value}\r\n" for name, value in headers.items())

    def get(self, name, times=1):
        """Sends that many requests, one after the other."""
        for _ in range(times):
            self.socket.sendall(f"GET /{name} HTTP/1.1\r\n{self.headers}\r\n".encode())
            self.read_response(name)

    def read_response(self, name):
        status = self.file.readline()
        if b" 200 " not in status:
            sys.exit(f"instructions: /{name}: {status.decode() or 'no answer'}")
        length = 0
        while (line := self.file.readline().lower()) != b"\r\n":
            header, value = line.split(b":", 1)
            if header == b"content-length":
                length = int(value)
            elif header == b"transfer-encoding":
                length = None
        if length is not None:
            self.file.read(length)
            return
        while size := int(self.file.readline(), 16):
            self.file.read(size + 2)
        self.file.readline()


class Callgrind:
    """The one that an nginx runs under."""

    def __init__(self, pid, folder):
        self.command = ["vgdb", f"--pid={pid}", "--max-invoke-ms=1"]
        self.folder = folder

    def tell(self, *command):
        done = subprocess.run(self.command + list(command), capture_output=True, text=True, timeout=60)
        if done.returncode:
            sys.exit(f"instructions: {done.stderr}")

    def counted(self):
        """Instructions since `zero`."""
        self.tell("dump")
        [name] = glob.glob(f"{self.folder}/counts.*")
        with open(name, encoding="utf-8") as file:
            total = re.search(r"^(?:totals|summary): (\d+)", file.read(), re.M)
        os.remove(name)
        return int(total[1])


def count(connection, callgrind, rows, counts):
    """Instructions per request, for each row those of the round that had the fewest."""
    paths = bench.paths()
    for _ in range(ROUNDS):
        for row in rows:
            # What is compiled for one row would be in the way of others.
            connection.get("flush")
            connection.get(paths[row.name], WARM_UP)
            callgrind.tell("zero")
            connection.get(paths[row.name], REQUESTS)
            found = callgrind.counted() / REQUESTS
            counts[row.name] = min(found, counts.get(row.name, found))


def added(row, counts):
    return round((counts[row.name] - counts[row.over]) / row.times) if row.over else None


def read(name):
    """What the counts are of, and what each row adds."""
    if not os.path.exists(name):
        return None, {}
    with open(name, encoding="utf-8") as file:
        text = file.read()
    lines = re.findall(r"^([\w-]+) +\d+(?: +(-?\d+) over)?", text, re.M)
    return text.splitlines()[1].removeprefix("# "), {row: int(more) if more else None for row, more in lines}


def write(name, subject, rows, counts):
    with open(name, "w", encoding="utf-8") as file:
        file.write("# Instructions of a worker per request, and what a row adds to another: `ci/instructions.sh --update` writes this.\n")
        file.write(f"# {subject}\n")
        for row in rows:
            more = f"{added(row, counts):10} over {row.over}" if row.over else ""
            if row.times > 1:
                more += f", {row.times} times"
            file.write(f"{row.name:24}{counts[row.name]:10.0f}{more}\n")


def is_worse(was, now):
    return was is not None and now > was + max(MORE, MORE_OF_IT * was)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("pid")
    parser.add_argument("folder", help="where callgrind writes its files")
    parser.add_argument("committed")
    parser.add_argument("subject", help="what the counts are of: others are not compared")
    parser.add_argument("--update", action="store_true")
    arguments = parser.parse_args()

    rows = [row for row in bench.rows() if re.fullmatch(CHOSEN, row.name)]
    connection = Connection(arguments.port)
    callgrind = Callgrind(arguments.pid, arguments.folder)
    callgrind.tell("instrumentation", "on")
    counts = {}
    count(connection, callgrind, rows, counts)

    subject, committed = read(arguments.committed)
    comparable = subject == arguments.subject and not arguments.update

    def worse():
        return [row for row in rows if comparable and is_worse(committed.get(row.name), added(row, counts))]

    if suspects := {name for row in worse() for name in (row.name, row.over)}:
        count(connection, callgrind, [row for row in rows if row.name in suspects], counts)

    print(f"{'row':24}{'instructions':>14}{'added':>10}{'committed':>12}{'change':>9}  over")
    for row in rows:
        line = f"{row.name:24}{counts[row.name]:14.0f}"
        if row.over:
            was, now = committed.get(row.name), added(row, counts)
            change = f"{(now - was) / was:+.1%}" if was else ""
            times = f", {row.times} times" if row.times > 1 else ""
            line += f"{now:10}{'-' if was is None else was:>12}{change:>9}  {row.over}{times}"
        print(line)

    if arguments.update:
        write(arguments.committed, arguments.subject, rows, counts)
    elif not comparable:
        print(f"not compared: {arguments.committed} has counts of {subject or 'nothing'}, these are of {arguments.subject}")
    elif {row.name for row in rows} != set(committed):
        sys.exit(f"instructions: the rows are not those in {arguments.committed}: run ci/instructions.sh --update")
    elif found := worse():
        for row in found:
            print(f"WORSE: {row.name} adds {added(row, counts)} instructions to {row.over}, was {committed[row.name]}")
        sys.exit(f"instructions: if that is as it should be, run ci/instructions.sh --update and commit {arguments.committed}")


if __name__ == "__main__":
    main()
