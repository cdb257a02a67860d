"""The systemd unit is well-formed, hardened to 1.5 or better, and starts what can serve."""

import shlex
import shutil
import subprocess

import pytest
from conftest import ROOT, message, wait_for
from rig.programs import program

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")


@pytest.fixture
def unit(work_folder):
    """The unit with the program of this build, because verify looks for it."""
    text = (ROOT / "systemd" / "waypost.service").read_text()
    path = work_folder / "waypost.service"
    path.write_text(text.replace("/usr/bin/waypost", str(program("waypost"))))
    return path


@needs_systemd
def test_exposure_is_small(unit):
    ran = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", unit],
                         capture_output=True, text=True, check=False)
    summary = [line for line in ran.stdout.splitlines() if "Overall exposure" in line]
    assert ran.returncode == 0, "\n".join(summary) + ran.stderr


@needs_systemd
def test_unit_is_well_formed(unit):
    ran = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    complaints = [line for line in (ran.stdout + ran.stderr).splitlines() if "waypost" in line]
    assert ran.returncode == 0 and not complaints, ran.stdout + ran.stderr


def commands(key, gateway):
    """What the unit runs for one key, with this build's program and the gateway's configuration."""
    lines = (ROOT / "systemd" / "waypost.service").read_text().splitlines()
    texts = [line.split("=", 1)[1] for line in lines if line.startswith(key + "=")]
    places = {"/usr/bin/waypost": str(program("waypost")), "/etc/waypost/waypost.yaml": str(gateway.config_file)}
    return [[places.get(word, word) for word in shlex.split(text)] for text in texts]


def test_what_it_starts_serves_with_a_broken_table(world):
    gateway = world.gateway(world.sink(), users=["bob"], start=False)
    gateway.table_file.write_text("address,target\nbob@corp.example,not an address\n")
    gateway.write_config()
    for command in commands("ExecStartPre", gateway):
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, f"the unit would not start: {ran.stdout}{ran.stderr}"
    starts = commands("ExecStart", gateway)
    assert starts == [[str(program("waypost")), "serve", "--config", str(gateway.config_file)]]
    gateway.start(ready=False)  # this very command
    wait_for(lambda: gateway.process.check_alive() and gateway.get("/readyz")[0] == 503, "/readyz to be red")
    sent = world.exchange().send("ann@ext.example", ["bob@corp.example"], message())
    assert sent.recipients["bob@corp.example"].code == 451
