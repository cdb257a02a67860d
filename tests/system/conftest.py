"""Fixtures of the system tests: a gateway with stand-ins on free loopback ports, in a folder that is kept on failure.

Each test builds what it needs:  world.gateway(...), world.sink(...). Everything is stopped at the end; a gateway that
does not end in order fails the test.
"""

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from rig.exchange import Exchange  # noqa: E402
from rig.gateway import OWN_NAME, TARGET_DOMAIN, Gateway  # noqa: E402
from rig.processes import RigError, wait_for  # noqa: E402
from rig.programs import build_folder, program  # noqa: E402
from rig.sink import Certificates, Sink  # noqa: E402

SINK_NAME = "inbound-smtp.local"
# One folder a test process. Short: a Unix socket's path has room for 107 octets.
WORK = ROOT / "build" / "st" / os.environ.get("PYTEST_XDIST_WORKER", "gw")


@contextlib.contextmanager
def small_disk(folder, size):
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=False,
                             capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


class World:
    """One test's gateway and neighbours."""

    def __init__(self, directory, gateway_certificates, sink_certificates):
        self.directory = directory
        self.gateway_certificates, self.sink_certificates = gateway_certificates, sink_certificates
        self.sinks, self.peers, self.the_gateway = [], [], None

    def sink(self, label="workmail", tls=True, certificates=None, name=SINK_NAME, **settings):
        certificates = certificates or (self.sink_certificates if tls else None)
        sink = Sink(self.directory, label, name, certificates, **settings).start()
        self.sinks.append(sink)
        return sink

    def gateway(self, sink=None, users=(), tls=True, start=True, **changes):
        """users: local parts that have moved. changes: sections of the configuration."""
        gateway = Gateway(self.directory, self.gateway_certificates if tls else None)
        if sink:
            gateway.route(sink)
        gateway.change(changes)
        gateway.write_table([(f"{u}@corp.example", f"{u}@{TARGET_DOMAIN}") for u in users])
        self.the_gateway = gateway
        return gateway.start() if start else gateway

    def exchange(self, **settings):
        """A connection as Exchange would make it."""
        settings.setdefault("ca_file", self.gateway_certificates.ca)
        return Exchange(self.the_gateway.smtp_port, **settings)

    def peer(self, peer):
        self.peers.append(peer)
        return peer

    def folder(self, name):
        path = self.directory / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def end(self):
        troubles = []
        for one in [self.the_gateway, *self.peers, *self.sinks]:
            try:
                if one is not None:
                    one.stop()
            except RigError as error:
                troubles.append(str(error))
        return troubles


@pytest.fixture(scope="session")
def work_folder():
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    return WORK


@pytest.fixture(scope="session")
def certificates(work_folder):
    return (Certificates(work_folder / "gateway-tls", [OWN_NAME]), Certificates(work_folder / "sink-tls", [SINK_NAME]))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    setattr(item, "report_" + report.when, report)


@pytest.fixture
def world(work_folder, certificates, request):
    name = request.node.name.replace("test_", "", 1)[:40].replace("/", "-").replace("[", "-").rstrip("]")
    directory = work_folder / name
    directory.mkdir()
    world = World(directory, *certificates)
    yield world
    troubles = world.end()
    failed = getattr(request.node, "report_call", None) is None or request.node.report_call.failed or troubles
    if failed:
        print(f"kept for reading: {directory}")
    else:
        shutil.rmtree(directory, ignore_errors=True)
    assert not troubles, "\n".join(troubles)


@pytest.fixture(scope="session")
def preload(work_folder):
    """Compiles tests/system/preload/NAME.c once; preload('NAME') is the shared object."""
    made = {}

    def build(name):
        if name not in made:
            library = work_folder / f"{name}.so"
            subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", library,
                            ROOT / "tests" / "system" / "preload" / f"{name}.c", "-ldl"], check=True)
            made[name] = str(library)
        return made[name]
    return build


def message(subject="hello", body="text\r\n", sender="ann@ext.example", message_id=None):
    """A small message as bytes."""
    identity = f"Message-ID: <{message_id}>\r\n" if message_id else ""
    return (f"From: {sender}\r\nTo: bob@corp.example\r\nSubject: {subject}\r\n{identity}"
            f"Date: Mon, 01 Dec 2025 10:00:00 +0000\r\n\r\n{body}").encode("utf-8")


__all__ = ["World", "message", "wait_for", "build_folder", "program"]
