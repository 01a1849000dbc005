#!/usr/bin/env python3
"""Puts together what ci/bench.sh has measured.

bench-report.py table SECTION FILE        prints what a section has measured
bench-report.py layers FILE               prints what `cargo bench --bench layers` has written there, as JSON
bench-report.py all ROUNDS FOLDER FILE    writes that of all sections, and on what it was measured, to FILE
"""

import datetime
import json
import os
import re
import subprocess
import sys

SECTIONS = "rows", "calls", "shared", "loads", "memory", "rate", "layers"

NANOSECONDS = {"ns": 1, "µs": 1e3, "ms": 1e6, "s": 1e9}

# Of these, a sample is so many.
CALLS = 1000


def print_rows(rows):
    print(f"{'CPU time of a worker':62}{'us/request':>11}{'added':>9}{'quartiles':>21}{'target':>8}  {'':4} over")
    for row in rows:
        line = f"{row['text']:62}{row['microseconds']:11.2f}"
        if "over" in row:
            low, high = row["quartiles"]
            line += f"{row['added']:9.2f}{f'{low:.2f} to {high:.2f}':>21}"
            target = row["target"]
            verdict = "" if target is None else "met" if row["added"] <= target else "NOT"
            line += f"{'' if target is None else target:>8}  {verdict:4} {row['over']}"
            if row["times"] > 1:
                line += f", each of {row['times']}"
        print(line)


def print_calls(calls):
    print(f"{'waiting for another server':32}{'at a time':>10}{'requests/s':>12}{'us/request':>12}{'us, median':>12}{'us, 99 %':>12}")
    for call in calls:
        print("{name:32}{connections:10}{requests_per_second:12.0f}{microseconds:12.1f}{waiting_50:12.0f}{waiting_99:12.0f}".format(**call))


def print_shared(shared):
    columns = "a plugin", "wasm.shared", "lua_shared_dict"
    print(f"{'1 worker, ns of CPU':32}" + "".join(f"{name:>17}" for name in columns))
    found = {(row["what"], row["who"]): row["ns"] for row in shared["alone"]}
    for what in dict.fromkeys(what for what, _ in found):
        print(f"{what:32}" + "".join(f"{found[what, who]:17.0f}" if (what, who) in found else f"{'-':>17}" for who in columns))
    print()
    title = f"{shared['workers']} workers at once"
    print(f"{title:32}{'':17}{'ns of CPU':>12}{'millions/s':>12}{'first, ns':>12}{'last, ns':>12}")
    for row in shared["together"]:
        print("{what:32}{who:17}{ns:12.0f}{millions_per_second:12.1f}{first:12.0f}{last:12.0f}".format(**row))


def print_loads(loads):
    ways = {"cold": "cold", "cache": "from cache", "memory": "from memory", "instance": "instance"}
    print(f"{'loading, ms of CPU':32}{'bytes':>10}" + "".join(f"{name:>13}" for name in ways.values()))
    for load in loads:
        line = f"{load['plugin']:32}{load['size']:10}"
        line += "".join(f"{load['ms'][way]:13.2f}" if way in load["ms"] else f"{'-':>13}" for way in ways)
        if load["missed"]:
            line += f"   COMPILED AGAIN in {load['missed']} of {load['starts']} starts"
        print(line)


def print_memory(memory):
    alone = memory[0]
    print(f"{'memory of a worker, KB':44}{'resident':>10}{'more':>8}{'share':>10}{'more':>8}")
    for row in memory:
        print(f"{row['name']:44}{row['rss']:10}{row['rss'] - alone['rss']:8}{row['pss']:10}{row['pss'] - alone['pss']:8}")


def print_rate(rate):
    print(f"{'as many requests as it can':32}{'workers':>10}{'requests/s':>12}{'us/request':>12}")
    for row in rate:
        print("{name:32}{workers:10}{requests_per_second:12.0f}{microseconds:12.2f}".format(**row))


def print_layers(layers):
    print(f"{'layers, without nginx':60}{'ns, median':>12}{'fastest':>12}")
    for layer in layers:
        print("{name:60}{median:12.1f}{fastest:12.1f}".format(**layer))


def read_layers(name):
    """The tree that divan prints, as a list."""
    layers, groups = [], []
    with open(name, encoding="utf-8") as file:
        for line in file:
            if not (found := re.match(r"([│ ]*)[├╰]─ (.+?)  +(.*)", line)):
                continue
            indent, title, columns = found.groups()
            del groups[len(indent) // 3 :]
            times = re.findall(r"([\d.]+) (ns|µs|ms|s)(?= )", columns)
            if not times:
                groups.append(title)
                continue
            fastest, _, median, _ = (float(number) * NANOSECONDS[unit] for number, unit in times)
            of = CALLS if "hostcalls" in groups else 1
            path = dict.fromkeys([*groups, title])
            path.pop("hostcall", None)
            layers.append({"name": ", ".join(path), "median": median / of, "fastest": fastest / of})
    return layers


def output(*command):
    """What a command says, or nothing where there is none."""
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def find(pattern, name):
    with open(name, encoding="utf-8") as file:
        found = re.search(pattern, file.read(), re.M)
    return found and found[1]


def machine():
    return {
        "processor": find(r"^model name\s*: (.*)", "/proc/cpuinfo") or os.uname().machine,
        "processors": len(os.sched_getaffinity(0)),
        "memory_kb": int(find(r"^MemTotal: +(\d+)", "/proc/meminfo")),
        "kernel": os.uname().release,
    }


def commit():
    found = output("git", "rev-parse", "HEAD")
    return found and found + ("-dirty" if output("git", "status", "--porcelain") else "")


def write_all(rounds, folder, name):
    with open(f"{folder}/versions.json", encoding="utf-8") as file:
        versions = json.load(file)
    versions["rustc"] = output("rustc", "--version")
    versions["wasmtime"] = find(r'^name = "wasmtime"\nversion = "(.*)"', "Cargo.lock")
    report = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(),
        "rounds": int(rounds),
        "machine": machine(),
        "versions": versions,
    }
    for section in SECTIONS:
        with open(f"{folder}/{section}.json", encoding="utf-8") as file:
            report[section] = json.load(file)
    with open(name, "w", encoding="utf-8") as file:
        json.dump(report, file, indent=2)
        file.write("\n")


def main():
    match sys.argv[1:]:
        case ["table", section, name] if section in SECTIONS:
            with open(name, encoding="utf-8") as file:
                measured = json.load(file)
            print()
            globals()[f"print_{section}"](measured)
        case ["layers", name]:
            json.dump(read_layers(name), sys.stdout)
        case ["all", rounds, folder, name]:
            write_all(rounds, folder, name)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
