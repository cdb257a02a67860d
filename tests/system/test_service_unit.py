"""The systemd unit is well-formed and hardened to 1.5 or better."""

import shutil
import subprocess

import pytest
from conftest import ROOT
from rig.programs import program

pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")


@pytest.fixture
def unit(work_folder):
    """The unit with the program of this build, because verify looks for it."""
    text = (ROOT / "systemd" / "waypost.service").read_text()
    path = work_folder / "waypost.service"
    path.write_text(text.replace("/usr/bin/waypost", str(program("waypost"))))
    return path


def test_exposure_is_small(unit):
    ran = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", unit],
                         capture_output=True, text=True, check=False)
    summary = [line for line in ran.stdout.splitlines() if "Overall exposure" in line]
    assert ran.returncode == 0, "\n".join(summary) + ran.stderr


def test_unit_is_well_formed(unit):
    ran = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    complaints = [line for line in (ran.stdout + ran.stderr).splitlines() if "waypost" in line]
    assert ran.returncode == 0 and not complaints, ran.stdout + ran.stderr
