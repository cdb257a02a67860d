"""The command line of tools/bench."""

import argparse
import json
import os
import pathlib
import platform
import sys
import time

from ..peers import fetch
from ..programs import ROOT, build_folder, sanitized
from . import before, deep, standing, tables, throughput
from .lab import Lab
from .measure import ratio

SCENARIOS = {"S1": throughput.s1, "S2": throughput.s2, "S3": throughput.s3, "S5": standing.s5, "S6": throughput.s6,
             "S7": throughput.s7, "S8": standing.s8, "S9": standing.s9, "S10": throughput.s10,
             "D1": deep.d1, "D2": deep.d2, "D3": deep.d3, "D4": deep.d4, "T1": tables.t1}


def arguments():
    parser = argparse.ArgumentParser(
        prog="tools/bench", description="Waypost beside its peers and beside the machine's limits, alternating, in one run.",
        epilog="S4 comes with S1 and S2. Exim and OpenSMTPD take part once tools/fetch-peers has fetched them, Haraka if it is installed. "
               "About 40 minutes in all; leave the machine alone meanwhile. Needs root, as Postfix does.")
    parser.add_argument("scenarios", nargs="*", metavar="S1..S10, D1..D4, T1", help="default: all")
    parser.add_argument("--rounds", type=int, default=5, help="the median is of so many (default: 5)")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the messages, to try things out: 0.1")
    parser.add_argument("--before", type=pathlib.Path, metavar="BUILD",
                        help=f"another release build of Waypost, in place of peers and limits; for {', '.join(before.SCENARIOS)}")
    parser.add_argument("--report", type=pathlib.Path, default=ROOT / "build" / "reports" / "bench.json")
    options = parser.parse_args()
    known = before.SCENARIOS if options.before else SCENARIOS
    options.scenarios = [name.upper() for name in options.scenarios] or list(known)
    unknown = [name for name in options.scenarios if name not in known]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(known)} (S4 is part of S1 and S2)")
    if options.before and not (options.before / "bin" / "waypost").is_file():
        parser.error(f"--before: {options.before} has no bin/waypost; build it first: cmake --preset release && cmake --build --preset release")
    return options


def table(rows):
    lines = [("scenario", "Waypost", "against", "ratio", "lowest", "highest", "target", "")]
    for row in rows:
        mark = {True: "reached", False: "NOT REACHED", None: ""}[row.reached]
        lines.append((row.name, row.ours, row.theirs, ratio(row.ratio.median), ratio(min(row.ratio.values)), ratio(max(row.ratio.values)),
                      row.target, mark))
    widths = [max(len(line[n]) for line in lines) for n in range(len(lines[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def machine():
    model = next((line.split(":", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
                  if line.startswith("model name")), "unknown")
    return f"{os.cpu_count()} x {model}, Linux {platform.release()}"


def save(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    told = [{"name": r.name, "waypost": r.ours, "against": r.theirs, "ratio": r.ratio.median, "ratios": r.ratio.values,
             "target": r.target, "reached": r.reached, "note": r.note} for r in rows]
    path.write_text(json.dumps({"machine": machine(), "rows": told}, indent=1) + "\n", encoding="utf-8")


def main():
    options = arguments()
    if sanitized():
        sys.exit(f"tools/bench: {build_folder()} is a sanitized build; its figures mean nothing. Build the preset 'release'")
    if not options.before:
        fetch("postfix")
    begun = time.monotonic()
    lab = Lab(ROOT / "build" / "bench", options.rounds, options.scale, lambda line: print(line, flush=True))
    lab.say(f"{machine()}; {options.rounds} rounds")
    rows = []
    for name in options.scenarios:
        run = before.SCENARIOS[name] if options.before else SCENARIOS[name]
        lab.say(f"\n== {name} ({time.monotonic() - begun:.0f} s): {run.__doc__ or ('against the build before' if options.before else 'against Postfix')}")
        rows += run(lab, options.before) if options.before else run(lab)
        save(options.report, rows)
    lab.say("\n" + table(rows))
    lab.say(f"\n{time.monotonic() - begun:.0f} s; figures of each round in {options.report}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
