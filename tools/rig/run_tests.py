"""The steps of tools/run-tests, in order; each counts what passed and what failed."""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parents[2]
REPORTS = ROOT / "build" / "reports"
# What decides about a landing is the same on every run: these seeds, the corpora in tests/*/seeds, the seeds written in the
# tests. tools/explore draws others.
SIM_SEED, SIM_SCHEDULES = "1", os.environ.get("WAYPOST_SIM_SCHEDULES", "3000")
PYTEST = ["/usr/bin/python3", "-m", "pytest", "-q", "-ra", "--tb=short", "-p", "no:cacheprovider"]


@dataclass
class Count:
    passed: int = 0
    failed: int = 0
    note: str = ""
    seconds: float = 0


def say(line):
    print(line, flush=True)


def run(argv, **environment):
    """Exit code; output goes straight through."""
    return subprocess.run([str(a) for a in argv], cwd=ROOT, check=False, env={**os.environ, **environment}).returncode


def one_check(argv, **environment):
    good = run(argv, **environment) == 0
    return Count(int(good), int(not good))


def junit(path):
    """Counts of a JUnit file; what was skipped is neither."""
    count, skipped = Count(), 0
    for suite in ElementTree.parse(path).getroot().iter("testsuite"):
        total, bad = int(suite.get("tests", 0)), int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        left_out = int(suite.get("skipped", 0)) + int(suite.get("disabled", 0))
        count.passed += total - bad - left_out
        count.failed += bad
        skipped += left_out
    count.note = f"{skipped} skipped" if skipped else ""
    return count


def pytest(name, arguments, **environment):
    report = REPORTS / f"{name}.xml"
    report.unlink(missing_ok=True)
    code = run([*PYTEST, f"--junitxml={report}", *arguments], **environment)
    if not report.exists():
        return Count(0, 1, f"pytest ended with {code} before any test")
    count = junit(report)
    if code != 0 and count.failed == 0:
        return Count(count.passed, 1, f"pytest ended with {code}")
    return count


def build(preset, *targets, options=()):
    """True if it was built."""
    if run(["cmake", "--preset", preset, "--log-level=WARNING", *options]) != 0:
        return False
    wanted = ["--target", *targets] if targets else []
    return run(["cmake", "--build", ROOT / "build" / preset, *wanted], NINJA_STATUS="[%f/%t %es] ") == 0


# ---- the steps

def check_format():
    tracked = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.cc", "*.h"], cwd=ROOT, check=True,
                             capture_output=True, text=True).stdout.split()
    return one_check(["clang-format-19", "--dry-run", "-Werror", *[f for f in tracked if (ROOT / f).exists()]])


def check_coroutines():
    return one_check([ROOT / "tools" / "lint-coroutines"])


def check_layers():
    return pytest("layers", ["tests/layers"])


def build_dev():
    good = build("dev")
    return Count(int(good), int(not good))


def unit_tests():
    report = REPORTS / "unit.xml"
    report.unlink(missing_ok=True)
    run(["ctest", "--test-dir", "build/dev", "--output-on-failure", "-j", os.cpu_count() or 2, "--progress",
         "--output-junit", report])
    return junit(report) if report.exists() else Count(0, 1, "ctest made no report")


def dialogues():
    return pytest("dialogues", ["tests/system/test_dialogs.py", "-n", "2"], WAYPOST_BUILD="build/dev")


def build_release():
    good = build("release", "waypost", "waypost-load", "waypost-sim", options=["-DWAYPOST_TESTS=OFF"])
    return Count(int(good), int(not good))


def simulation():
    """The same schedules each time, and those that once found a fault; tools/explore runs others."""
    for preset in ("release", "dev"):
        program = ROOT / "build" / preset / "bin" / "waypost-sim"
        if program.exists():
            return one_check([program, "--seed", SIM_SEED, "--count", SIM_SCHEDULES])
    return Count(0, 1, "waypost-sim is not built")


ROW = re.compile(r"^    (WRONG  )?because ")
WHOLE = re.compile(r"^\d+ messages, (\d+) recipients: all as they should be$", re.MULTILINE)
ARRIVED = re.compile(r"TLSv1\.[23], certificate verified +yes$", re.MULTILINE)


def quickstart():
    """What a newcomer runs first, on the release that is built already; its table is counted, row by row."""
    ran = subprocess.run([ROOT / "tools" / "quickstart"], cwd=ROOT, check=False, text=True, stdout=subprocess.PIPE)
    table = ran.stdout.partition("what Exchange sent")[2]
    say(ran.stdout)
    rows = [found for line in table.splitlines() if (found := ROW.match(line))]
    wrong = sum(bool(row[1]) for row in rows)
    whole = WHOLE.search(table)
    good = ran.returncode == 0 and not wrong and whole and int(whole[1]) == len(rows)
    if not good or len(ARRIVED.findall(table)) < 10:
        return Count(len(rows) - wrong, max(wrong, 1), "the table is not whole")
    return Count(len(rows), 0)


def fetch_peers():
    return one_check([ROOT / "tools" / "fetch-peers"])


ALONE = ["test_kill_at_a_random_moment.py", "test_memory_stays_bounded.py"]


def system_tests():
    alone = [f"--ignore=tests/system/{name}" for name in ["test_dialogs.py", *ALONE]]
    return pytest("system", ["tests/system", *alone, "-n", "3"], WAYPOST_BUILD="build/release")


def crash_and_memory():
    return pytest("crash", [f"tests/system/{name}" for name in ALONE], WAYPOST_BUILD="build/release")


def clang_tidy():
    return one_check([ROOT / "tools" / "tidy"])


STEPS = {
    "format": check_format, "coroutines": check_coroutines, "layers": check_layers, "build-dev": build_dev,
    "unit": unit_tests, "build-release": build_release, "sim": simulation, "quickstart": quickstart, "peers": fetch_peers,
    "dialogues": dialogues, "system": system_tests, "crash": crash_and_memory, "tidy": clang_tidy,
}
QUICK = ["format", "coroutines", "layers", "build-dev", "unit", "dialogues"]


def main():
    parser = argparse.ArgumentParser(prog="tools/run-tests", description="Steps: " + " ".join(STEPS))
    parser.add_argument("--quick", action="store_true", help="only: " + " ".join(QUICK))
    parser.add_argument("--only", nargs="+", choices=list(STEPS), metavar="STEP",
                        help="these steps")
    options = parser.parse_args()
    REPORTS.mkdir(parents=True, exist_ok=True)
    chosen = options.only or (QUICK if options.quick else list(STEPS))
    started, results = time.monotonic(), {}
    for name in chosen:
        say(f"\n== {name} ({time.monotonic() - started:.0f} s)")
        begun = time.monotonic()
        try:
            results[name] = STEPS[name]()
        except Exception as error:  # noqa: BLE001: one broken step must not hide the others
            results[name] = Count(0, 1, repr(error))
        results[name].seconds = time.monotonic() - begun
    say("\n== summary")
    for name, count in results.items():
        mark = "FAIL" if count.failed else "ok  "
        say(f"{mark} {name:14} {count.passed:5} passed {count.failed:4} failed {count.seconds:7.0f} s  {count.note}")
    passed, failed = sum(c.passed for c in results.values()), sum(c.failed for c in results.values())
    say(f"{time.monotonic() - started:.0f} s in all")
    say(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
