"""`waypost check` says what the daemon would meet: as its user, with its files, folders and ports.

The tests stand in a folder that everybody may enter, with `nobody` as the service user; only root can become it.
"""

import json
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import tempfile

import pytest
from rig.gateway import Gateway
from rig.programs import program, sanitized
from rig.sink import Certificates

USER = "nobody"
needs_root = pytest.mark.skipif(os.geteuid() != 0 or sanitized(), reason="only root can become another user, and LeakSanitizer can't follow")


class Machine:
    """What `nobody` needs to run a gateway, and can be robbed of."""

    def __init__(self, directory):
        self.directory = directory
        for name in ("etc", "state", "log", "run"):
            (directory / name).mkdir()
        self.give("state", "log", "run")
        self.gateway = Gateway(directory / "etc")
        self.gateway.spool_directory = directory / "state" / "spool"
        self.config = self.gateway.config
        self.config["spool"]["directory"] = str(self.gateway.spool_directory)
        self.config["tracking"]["file"] = str(directory / "log" / "tracking.jsonl")
        self.config["admin"]["socket"] = str(directory / "run" / "admin.sock")
        self.config["routing"]["target_domains"] = {"orgname.awsapps.com": "workmail"}
        self.config["next_hops"]["workmail"] = {"hosts": ["127.0.0.1:9"], "tls": "none"}
        self.gateway.write_table([("bob@corp.example", "bob@orgname.awsapps.com"),
                                  ("postmaster@corp.example", "postmaster@orgname.awsapps.com")])

    def give(self, *names):
        user = pwd.getpwnam(USER)
        for name in names if os.geteuid() == 0 else ():
            os.chown(self.directory / name, user.pw_uid, user.pw_gid)

    def secret(self, name, text):
        """Root's alone, as it is when root has copied it there."""
        path = self.directory / "etc" / name
        path.write_text(text)
        path.chmod(0o600)
        return str(path)

    def check(self, *arguments, **how):
        self.gateway.write_config()
        return subprocess.run([program("waypost"), "check", "--config", self.gateway.config_file, *arguments], text=True,
                              timeout=60, capture_output=True, check=False, **how)

    def serve(self):
        return subprocess.run([program("waypost"), "serve", "--config", self.gateway.config_file], text=True, timeout=60,
                              capture_output=True, check=False, user=USER, group=pwd.getpwnam(USER).pw_gid, extra_groups=[])


@pytest.fixture
def machine():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="waypost-check-"))
    directory.chmod(0o755)
    made = Machine(directory)
    yield made
    made.gateway.stop()
    shutil.rmtree(directory)


def errors(text):
    return [line for line in text.splitlines() if ": error: " in line]


@needs_root
def test_a_machine_that_is_ready_is_good(machine):
    checked = machine.check("--as", USER)
    assert checked.returncode == 0 and not errors(checked.stderr), checked
    first = checked.stdout.splitlines()[0]
    assert f": good: 1 listener, 1 next hop, 1 own domain, 2 routing entries (checked as user {USER})" in first, first


@needs_root
def test_a_key_that_only_root_may_read_is_found(machine):
    made = Certificates(machine.directory / "etc" / "tls", ["gw.corp.example"])
    chain, key = (pathlib.Path(path) for path in (made.chain, made.key))
    chain.chmod(0o644)
    key.chmod(0o600)
    chain.parent.chmod(0o755)
    machine.config["tls"] = {"certificates": [{"chain": str(chain), "key": str(key)}]}
    assert machine.check("--as", "root").returncode == 0
    checked = machine.check("--as", USER)
    assert checked.returncode == 1 and f"{key}' may not be read by this user" in checked.stderr, checked
    # "waypost check shows them again" is what the daemon says.
    started = machine.serve()
    assert started.returncode == 78 and "shows them again" in started.stderr, started
    assert errors(started.stderr) and set(errors(started.stderr)) <= set(errors(checked.stderr)), (started, checked)


def table_of_root(m):
    os.chmod(m.gateway.table_file, 0o600)


def spool_of_root(m):
    m.gateway.spool_directory.mkdir(mode=0o700)


def file_of_root_in_spool(m):
    spool_of_root(m)
    m.give("state/spool")
    (m.gateway.spool_directory / "00000001.log").touch(mode=0o600)


def log_of_root(m):
    (m.directory / "log" / "tracking.jsonl").touch(mode=0o600)


ROBBED = {
    "table": (table_of_root, "table.csv' may not be read"),
    "password file": (lambda m: m.config["admission"].update(password_file=m.secret("passwords", "a:b\n")), "passwords' may not be read"),
    "SRS secret": (lambda m: m.config.update(srs={"domain": "srs.corp.example", "return_next_hop": "workmail",
                                                  "secret_file": m.secret("srs", "0123456789abcdef0123456789abcdef\n")}),
                   "srs' may not be read"),
    "next hop's password": (lambda m: m.config["next_hops"]["workmail"].update(auth_user="gw", auth_password_file=m.secret("secret", "x\n")),
                            "secret' may not be read"),
    "spool folder": (spool_of_root, f"'spool.directory': the user '{USER}' may not write to the folder"),
    "file in the spool": (file_of_root_in_spool, "may not write to 1 file in "),
    "folder above the spool": (lambda m: os.chown(m.directory / "state", 0, 0), f"and the user '{USER}' may not make it in"),
    "tracking file": (log_of_root, "'tracking.file': the user 'nobody' may not write to"),
    "tracking folder": (lambda m: os.chown(m.directory / "log", 0, 0), "'tracking.file': the user 'nobody' may not write to the folder"),
    "no log folder": (lambda m: m.config["log"].update(file="/nowhere/waypost.log"), "'log.file': the folder '/nowhere' does not exist"),
    "control folder": (lambda m: os.chown(m.directory / "run", 0, 0), "'admin.socket': the user 'nobody' may not write"),
    "a file for a socket": (lambda m: (m.directory / "run" / "admin.sock").touch(), "is there and is no socket"),
    "no such address": (lambda m: m.config["listeners"][0].update(address="192.0.2.77"), "this machine has no such address"),
}


@needs_root
@pytest.mark.parametrize("name", ROBBED, ids=lambda name: name.replace(" ", "-").replace("'", ""))
def test_what_keeps_the_daemon_from_its_work_is_found(machine, name):
    rob, words = ROBBED[name]
    rob(machine)
    checked = machine.check("--as", USER)
    assert checked.returncode == 1 and words in "\n".join(errors(checked.stderr)), checked
    assert f"checked as user {USER}" in checked.stdout and "not usable" in checked.stdout


@needs_root
def test_ports_that_somebody_has_are_found(machine):
    with socket.create_server(("127.0.0.1", machine.gateway.smtp_port)), socket.create_server(("127.0.0.1", machine.gateway.http_port)):
        checked = machine.check("--as", USER)
    assert checked.returncode == 1, checked
    found = errors(checked.stderr)
    assert len(found) == 2 and all("another program listens there (see 'ss -ltnp')" in line for line in found), found
    assert "'listeners[0].port'" in found[0] + found[1] and "'admin.http_port'" in found[0] + found[1]


@needs_root
def test_a_port_below_1024_is_what_the_unit_gives(machine):
    low = next(port for port in range(1023, 600, -1) if free(port))
    machine.config["listeners"][0]["port"] = low
    assert machine.check("--as", USER).returncode == 0
    alone = machine.check(user=USER, group=pwd.getpwnam(USER).pw_gid, extra_groups=[])
    assert alone.returncode == 0, alone
    if int(pathlib.Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) > low:
        assert f"note: port {low} was not tried: it needs CAP_NET_BIND_SERVICE" in alone.stdout, alone


def free(port):
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@needs_root
def test_a_daemon_that_runs_is_no_trouble(world):
    gateway = world.gateway(world.sink(), users=["bob"])
    checked = gateway.run("check")
    assert checked.returncode == 0 and not errors(checked.stderr), checked
    assert f"waypost runs already (pid {gateway.process.pid})" in checked.stdout, checked
    # But a port that another program has stays one.
    with socket.create_server(("127.0.0.1", 0)) as other:
        gateway.config["admin"]["http_port"] = other.getsockname()[1]
        gateway.write_config()
        checked = gateway.run("check")
    assert checked.returncode == 1 and len(errors(checked.stderr)) == 1 and "'admin.http_port'" in checked.stderr, checked


@needs_root
def test_a_socket_at_which_another_daemon_answers_is_found(world):
    gateway = world.gateway(world.sink())
    other = gateway.directory / "other.yaml"
    text = gateway.config_file.read_text().replace(str(gateway.spool_directory), str(gateway.directory / "other-spool"))
    for port in (gateway.smtp_port, gateway.http_port):
        text = text.replace(str(port), "0" if port == gateway.http_port else "2525")
    other.write_text(text)
    def check():
        return subprocess.run([gateway.binary, "check", "--as", "root", "--config", other], check=False, capture_output=True,
                              text=True, timeout=60)

    said = check()
    assert said.returncode == 1 and f"another daemon, with another spool, answers at '{gateway.socket}'" in said.stderr, said
    gateway.kill()  # what is left of one that died is no trouble
    said = check()
    assert "another daemon" not in said.stderr, said
    gateway.start()


def test_who_may_look_as_whom(machine):
    unknown = machine.check("--as", "no-such-user")
    assert unknown.returncode == 64 and "there is no user 'no-such-user'" in unknown.stderr and not unknown.stdout, unknown
    if os.geteuid() != 0 or sanitized():
        return
    other = machine.check("--as", "root", user=USER, group=pwd.getpwnam(USER).pw_gid, extra_groups=[])
    assert other.returncode == 64 and "only root can check as another user" in other.stderr and not other.stdout, other
    assert machine.check("--as", USER, user=USER, group=pwd.getpwnam(USER).pw_gid, extra_groups=[]).returncode == 0


@needs_root
def test_troubles_go_to_standard_error_and_the_verdict_to_standard_output(machine):
    machine.config["next_hops"]["workmail"]["tls"] = "opportunistic"
    machine.config["next_hops"]["workmail"]["hosts"] = ["mail.example:25"]
    warned = machine.check("--as", USER)
    assert warned.returncode == 0 and ": warning: " in warned.stderr and "warning" not in warned.stdout, warned
    machine.config["admin"]["socket"] = "/nowhere/admin.sock"
    wrong = machine.check("--as", USER)
    assert wrong.returncode == 1 and "'admin.socket'" in wrong.stderr and "admin.socket" not in wrong.stdout, wrong
    assert "not usable: 1 error; " in wrong.stdout.splitlines()[0], wrong
    as_json = machine.check("--as", USER, "--json")
    told = json.loads(as_json.stdout)
    assert as_json.returncode == 1 and not as_json.stderr and told["usable"] is False and told["errors"] == 1, as_json
    problem = next(p for p in told["problems"] if p["level"] == "error")
    assert problem["line"] > 0 and "'admin.socket'" in problem["message"] and told["checked_as"] == USER
    assert told["listeners"] == [f"127.0.0.1:{machine.gateway.smtp_port}"] and told["next_hops"]["workmail"].startswith("mail.example:25")


@needs_root
def test_what_the_unit_makes_need_not_be_there(machine):
    machine.config["admin"]["socket"] = "/run/waypost/admin.sock"
    if pathlib.Path("/run/waypost").exists():
        pytest.skip("this machine has /run/waypost")
    checked = machine.check("--as", USER)
    assert checked.returncode == 0 and "note: /run/waypost is not there yet: the systemd unit makes it" in checked.stdout, checked
