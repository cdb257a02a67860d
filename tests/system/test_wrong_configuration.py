"""Each wrong configuration of tests/config/wrong: what a tired operator reads, and that the daemon does not start."""

import re
import shutil
import subprocess

import pytest
from conftest import ROOT
from rig.programs import me, program

WRONG = sorted((ROOT / "tests" / "config" / "wrong").glob("*.yaml"))
PLACE = re.compile(r"^(?P<file>[^:]+):(?P<line>\d+):(?P<column>\d+): (?P<level>error|warning): (?P<text>.+)$")


def check(path):
    return subprocess.run([program("waypost"), "check", "--as", me(), "--config", path.name], capture_output=True, text=True,
                          timeout=30, check=False, cwd=path.parent)


@pytest.fixture(scope="module")
def copies(work_folder):
    """A copy, so that file modes are as the examples need them, whatever the umask of the checkout."""
    folder = work_folder / "wrong"
    shutil.copytree(ROOT / "tests" / "config" / "wrong", folder)
    for name in ["gw.key", "other.key"]:
        if (folder / name).exists():
            (folder / name).chmod(0o600)
    return folder


def test_there_are_twenty_kinds():
    assert len(WRONG) >= 20


@pytest.mark.parametrize("name", [path.name for path in WRONG])
def test_check_says_where_and_what(copies, name):
    path = copies / name
    answer = check(path)
    lines = answer.stderr.splitlines()
    complaints = [PLACE.match(line) for line in lines if PLACE.match(line)]
    assert complaints, f"no complaint with a place: {answer.stdout}{answer.stderr}"
    errors = [c for c in complaints if c["level"] == "error"]
    assert answer.returncode == (1 if errors else 0), answer.stdout
    source = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for complaint in complaints:
        assert 0 <= int(complaint["line"]) <= len(source) + 1, complaint.group(0)
        assert len(complaint["text"]) > 20, complaint.group(0)
    if errors:
        assert "not usable" in answer.stdout.splitlines()[0]


@pytest.mark.parametrize("name", ["01-unknown-key.yaml", "17-open-relay-everybody.yaml"])
def test_the_daemon_does_not_start(copies, name):
    path = copies / name
    started = subprocess.run([program("waypost"), "serve", "--config", path.name], capture_output=True, text=True,
                             timeout=30, check=False, cwd=path.parent)
    assert started.returncode == 78, started.stderr
    assert PLACE.match(started.stderr.splitlines()[0]), started.stderr


def test_did_you_mean(copies):
    assert "did you mean" in check(copies / "01-unknown-key.yaml").stderr
