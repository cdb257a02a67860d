"""tools/explore: what draws lots, side by side until the time is up; each finding is kept with the way to make it a fixed case.

An explorer is a function of a Turn (its seconds, a fresh seed, a folder for its output) that returns a Finding or None.
Explorers take turns; when every one has had its turn they begin again with other seeds.
"""

import argparse
import itertools
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOUND = ROOT / "build" / "explore" / "findings"
SIDE_BY_SIDE = 2
TSAN_ROOMS = ["base", "ops", "net", "routing", "spool", "queue", "outbound", "inbound", "admin", "app"]
PYTEST = ["/usr/bin/python3", "-m", "pytest", "-q", "-s", "--tb=short", "-p", "no:cacheprovider"]


@dataclass
class Turn:
    seconds: float
    seed: int
    lane: int  # 0, 1: which of those that run side by side
    folder: pathlib.Path
    log: pathlib.Path = field(init=False)

    def __post_init__(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = self.folder / "output.txt"

    def run(self, argv, patience=600.0, **environment):
        """(exit code, output); None as code when it did not end within its seconds and `patience`."""
        with open(self.log, "ab") as log:
            start = log.tell()
            try:
                code = subprocess.run([str(a) for a in argv], cwd=ROOT, check=False, stdout=log, stderr=subprocess.STDOUT,
                                      stdin=subprocess.DEVNULL, timeout=self.seconds + patience,
                                      env={**os.environ, **environment}).returncode
            except subprocess.TimeoutExpired:
                code = None
        return code, self.log.read_bytes()[start:].decode("utf-8", "replace")


@dataclass
class Finding:
    what: str
    again: str  # the command that shows it again
    keep: str  # how it becomes a fixed case
    files: list = field(default_factory=list)


# ---- the explorers

def simulation(turn):
    program = ROOT / "build" / "release" / "bin" / "waypost-sim"
    end, seed = time.monotonic() + turn.seconds, turn.seed
    while time.monotonic() < end:
        code, output = turn.run([program, "--no-old-seeds", "--seed", seed, "--count", 1000])
        if code != 0:
            broken = re.findall(r"^seed (\d+): (.*)$", output, re.MULTILINE)
            first = broken[0] if broken else (seed, f"ended with {code} after: {output[-500:]}")
            return Finding(f"simulation, seed {first[0]}: {first[1]}",
                           f"build/release/bin/waypost-sim --no-old-seeds --seed {first[0]} --verbose",
                           f"mend it, then add {first[0]} to kOnceWrong in tests/sim/main.cc (a seed is another schedule after a "
                           "change to the simulation: write a unit test of the fault, too)")
        seed += 1000
    return None


def fuzzer(name, seeds):
    def fuzz(turn):
        corpus = ROOT / "build" / "fuzz" / "corpus" / name
        corpus.mkdir(parents=True, exist_ok=True)
        found = turn.folder / "inputs"
        found.mkdir(exist_ok=True)
        code, output = turn.run(
            [ROOT / "build" / "fuzz" / "bin" / f"fuzz_{name}", f"-max_total_time={int(turn.seconds)}", f"-seed={turn.seed}",
             "-timeout=60", "-rss_limit_mb=2048", "-max_len=65536", f"-artifact_prefix={found}/", corpus, seeds],
            ASAN_OPTIONS="detect_leaks=1")
        if code == 0:
            return None
        inputs = [path for path in sorted(found.iterdir()) if not path.name.startswith("slow-unit")]
        where = pathlib.Path(seeds).relative_to(ROOT)
        return Finding(f"fuzz target {name}: {(re.findall('^(?:SUMMARY|==.*ERROR).*$', output, re.MULTILINE) or ['?'])[-1]}",
                       f"build/fuzz/bin/fuzz_{name} INPUT", f"mend it, then cp INPUT {where}/what-it-is (the landing gate replays it)", inputs)
    return fuzz


def system_test(name, **settings):
    def explore(turn):
        environment = {"WAYPOST_CRASH_SEED": str(turn.seed), "WAYPOST_BUILD": "build/release",
                       "PYTEST_XDIST_WORKER": f"gw{5 + turn.lane}", **settings}  # a folder and ports of its own
        code, output = turn.run([*PYTEST, f"tests/system/{name}"], patience=1200, **environment)
        if code == 0:
            return None
        shown = " ".join(f"{key}={value}" for key, value in {"WAYPOST_CRASH_SEED": turn.seed, **settings}.items())
        says = (re.findall(r"^E  .*$", output, re.MULTILINE) or [f"ended with {code}"])[0]
        return Finding(f"{name}, seed {turn.seed}: {says.strip()}", f"{shown} {' '.join(PYTEST)} tests/system/{name}",
                       "mend it; a fault that its seed shows each time becomes a parameter of the test, any other a unit test",
                       [ROOT / "build" / "st" / f"gw{5 + turn.lane}"])
    return explore


def thread_sanitizer(room):
    def explore(turn):
        program = ROOT / "build" / "tsan" / "bin" / f"{room}_test"
        code, output = turn.run([program, "--gtest_brief=1", "--gtest_shuffle", f"--gtest_random_seed={turn.seed % 99999 + 1}"])
        if code == 0:
            return None
        says = (re.findall(r"^(?:SUMMARY: ThreadSanitizer.*|\[  FAILED  \] \w.*)$", output, re.MULTILINE) or [f"ended with {code}"])[0]
        return Finding(f"ThreadSanitizer, {room}: {says}", f"build/tsan/bin/{room}_test --gtest_filter=...",
                       "mend it; a race that one test shows is a fixed case already, else write that test")
    return explore


def tidy(turn):
    code, output = turn.run([ROOT / "tools" / "tidy", "--all", "--seconds", int(turn.seconds)])
    return None if code == 0 else Finding("clang-tidy: " + output.strip().splitlines()[-1], "tools/tidy --all", "mend it")


# ---- turns

def build(kinds):
    """Builds what the kinds need; the fuzz targets with their seeds."""
    def make(preset, *targets, options=()):
        subprocess.run(["cmake", "--preset", preset, "--log-level=WARNING", *options], cwd=ROOT, check=True)
        subprocess.run(["cmake", "--build", ROOT / "build" / preset, "--target", *targets], cwd=ROOT, check=True)
    if kinds & {"sim", "kills", "operations"}:
        make("release", "waypost", "waypost-load", "waypost-sim", options=["-DWAYPOST_TESTS=OFF"])
    if "tsan" in kinds:
        make("tsan", *[f"{room}_test" for room in TSAN_ROOMS])
    targets = {}
    if "fuzz" in kinds:
        listed = ROOT / "build" / "fuzz" / "fuzz-targets.txt"
        listed.unlink(missing_ok=True)  # configure appends to it
        subprocess.run(["cmake", "--preset", "fuzz", "--log-level=WARNING"], cwd=ROOT, check=True)
        targets = dict(line.split(" ", 1) for line in sorted(set(listed.read_text().splitlines())))
        make("fuzz", *[f"fuzz_{name}" for name in targets])
    return targets


KINDS = ["sim", "fuzz", "kills", "operations", "tsan", "tidy"]


def explorers(kinds, targets):
    """(kind, name, function), the order of turns: what finds most comes often."""
    listed = []
    if "sim" in kinds:
        listed.append(("sim", "simulation", simulation))
    if "kills" in kinds:
        listed.append(("kills", "kill at a random moment", system_test("test_kill_at_a_random_moment.py", WAYPOST_CRASH_ROUNDS="15")))
    if "operations" in kinds:
        listed.append(("operations", "each operation fails", system_test("test_each_operation_fails.py")))
    if "fuzz" in kinds:
        listed += [("fuzz", name, fuzzer(name, seeds)) for name, seeds in sorted(targets.items())]
    if "tsan" in kinds:
        listed += [("tsan", room, thread_sanitizer(room)) for room in TSAN_ROOMS]
    if "tidy" in kinds:
        listed.append(("tidy", "all sources", tidy))
    return listed


def keep(finding, turn, folder):
    """Copies what shows it; the text that a person reads is in FINDING.txt."""
    folder.mkdir(parents=True)
    shutil.copy(turn.log, folder / "output.txt")
    for path in finding.files:
        if path.is_dir():
            shutil.copytree(path, folder / path.name, symlinks=True, ignore_dangling_symlinks=True, dirs_exist_ok=True,
                            copy_function=shutil.copy2, ignore=lambda d, names: [n for n in names if (pathlib.Path(d) / n).is_socket()])
        elif path.exists():
            shutil.copy(path, folder)
    again = finding.again.replace("INPUT", str(folder / finding.files[0].name) if finding.files else "INPUT")
    text = f"{finding.what}\n\nagain:  {again}\nkeep:   {finding.keep}\noutput: {folder / 'output.txt'}\n"
    (folder / "FINDING.txt").write_text(text)
    return text


class Expedition:
    def __init__(self, listed, seconds, seed, found=FOUND, slice_seconds=None):
        self.listed, self.end, self.found = listed, time.monotonic() + seconds, found
        self.slice = slice_seconds or max(10.0, min(120.0, seconds * SIDE_BY_SIDE / (2 * max(1, len(listed)))))
        self.chance, self.lock = random.Random(seed), threading.Lock()
        self.turns, self.findings = itertools.count(), []
        self.counts, self.spent = {}, {}

    def next_turn(self, lane):
        with self.lock:
            number = next(self.turns)
            kind, name, explore = self.listed[number % len(self.listed)]
            seed = self.chance.randrange(1, 1_000_000_000)
        left = self.end - time.monotonic()
        if left <= 0:
            return None
        folder = self.found.parent / "turns" / f"{number}-{kind}"
        return kind, name, explore, Turn(min(self.slice, max(left, 5)), seed, lane, folder)

    def walk(self, lane):
        while turn := self.next_turn(lane):
            kind, name, explore, at = turn
            begun = time.monotonic()
            try:
                finding = explore(at)
            except Exception as error:  # noqa: BLE001: an explorer that breaks is a finding, and the others go on
                at.log.touch()
                finding = Finding(f"{kind} {name}: the explorer itself failed: {error!r}", "tools/explore --only " + kind, "mend tools/rig/explore.py")
            self.note(kind, name, finding, at, time.monotonic() - begun)

    def note(self, kind, name, finding, turn, took):
        with self.lock:
            self.counts[kind] = self.counts.get(kind, 0) + 1
            self.spent[kind] = self.spent.get(kind, 0) + took
            left = max(0, self.end - time.monotonic())
            print(f"{'FOUND' if finding else 'ok   '} {kind:10} {name:28} seed {turn.seed:<10} {took:5.0f} s   {left / 60:.0f} min left", flush=True)
            if finding:
                text = keep(finding, turn, self.found / f"{time.strftime('%Y%m%d-%H%M%S')}-{kind}-{len(self.findings)}")
                self.findings.append(text)
                print("      " + text.replace("\n", "\n      "), flush=True)
        shutil.rmtree(turn.folder, ignore_errors=True)

    def run(self):
        lanes = [threading.Thread(target=self.walk, args=(lane,)) for lane in range(SIDE_BY_SIDE)]
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()
        print("\n" + "\n".join(f"{kind:10} {count:4} turns {self.spent[kind] / 60:6.1f} min" for kind, count in sorted(self.counts.items())))
        print(f"{sum(self.counts.values())} turns, {len(self.findings)} findings" + (f", kept in {self.found}" if self.findings else ""))
        return 1 if self.findings or not self.counts else 0


def main():
    parser = argparse.ArgumentParser(prog="tools/explore", description="Draws lots until the time is up and keeps what it finds. Kinds: " + " ".join(KINDS))
    parser.add_argument("--minutes", type=float, default=30, help="how long it looks, without building (default 30)")
    parser.add_argument("--only", nargs="+", choices=KINDS, metavar="KIND", help="only these kinds")
    parser.add_argument("--seed", type=int, help="draws the same lots again (default: fresh ones; printed)")
    options = parser.parse_args()
    kinds = set(options.only or KINDS)
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1_000_000_000)
    print(f"== building for {' '.join(sorted(kinds))}", flush=True)
    targets = build(kinds)
    print(f"== exploring for {options.minutes:g} minutes, seed {seed}", flush=True)
    return Expedition(explorers(kinds, targets), options.minutes * 60, seed).run()


if __name__ == "__main__":
    sys.exit(main())
