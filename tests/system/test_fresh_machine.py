"""A machine that has nothing but Debian and the packages that the docs name: the programs start, and mail is accepted.

tools/fetch-peers makes it (build/peers/fresh-machine) with the section `runtime` of tools/packages.txt.
"""

import json
import os
import pathlib
import shutil
import subprocess
import urllib.request

import pytest
from conftest import message
from rig.exchange import Exchange
from rig.processes import free_port, wait_for
from rig.programs import program, sanitized

MACHINE = pathlib.Path(__file__).resolve().parents[2] / "build" / "peers" / "fresh-machine"


@pytest.fixture
def machine(tmp_path):
    """inside(*argv, **how): a program in that machine, with a view of the file system of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root may change its root")
    if sanitized():
        pytest.skip("a sanitized build needs the compiler's libraries")
    assert (MACHINE.parent / "fresh-machine.complete").exists(), "not made; run tools/fetch-peers fresh-machine"
    binaries = MACHINE / "opt" / "waypost"
    shutil.rmtree(binaries, ignore_errors=True)
    binaries.mkdir(parents=True)
    for name in ("waypost", "waypost-load"):
        shutil.copy(program(name), binaries)

    def inside(*argv, popen=False):
        command = ["chroot", str(MACHINE), *map(str, argv)]
        if popen:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return inside


def configuration(smtp_port, http_port):
    return {"own_name": "gw.corp.example", "listeners": [{"address": "127.0.0.1", "port": smtp_port, "tls": "none"}],
            "admission": {"networks": ["127.0.0.0/8"]},
            "routing": {"own_domains": ["corp.example"], "target_domains": {"orgname.awsapps.com": "workmail"},
                        "entries": [{"address": "bob@corp.example", "target": "bob@orgname.awsapps.com"}]},
            "next_hops": {"workmail": {"hosts": ["127.0.0.1:9"], "tls": "none"}},
            "spool": {"directory": "/opt/waypost/spool", "minimum_free": "1 MiB"},
            "tracking": {"file": "/opt/waypost/tracking.jsonl"},
            "admin": {"socket": "/opt/waypost/admin.socket", "http_address": "127.0.0.1", "http_port": http_port}}


def ready(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


def test_it_starts_and_takes_mail(machine):
    for name in ("waypost", "waypost-load"):
        said = machine(f"/opt/waypost/{name}", "--help")
        assert said.returncode == 0, said.stderr
    smtp_port, http_port = free_port(), free_port()
    settings = configuration(smtp_port, http_port)
    (MACHINE / "opt" / "waypost" / "waypost.yaml").write_text(json.dumps(settings) + "\n")  # JSON is YAML
    checked = machine("/opt/waypost/waypost", "check", "--config", "/opt/waypost/waypost.yaml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    daemon = machine("/opt/waypost/waypost", "serve", "--config", "/opt/waypost/waypost.yaml", popen=True)
    try:
        wait_for(lambda: ready(http_port) or daemon.poll() is not None, "a gateway that is ready")
        assert daemon.poll() is None, daemon.stdout.read().decode()
        sent = Exchange(smtp_port, use_tls=False).send("ann@ext.example", ["bob@corp.example"], message())
        assert sent.accepted, sent
        status = machine("/opt/waypost/waypost", "status", "--json", "--config", "/opt/waypost/waypost.yaml")
        assert json.loads(status.stdout)["queue"], status
    finally:
        daemon.terminate()
        daemon.wait(30)
