"""What `waypost check` calls good, `waypost serve` starts with: every file that the configuration names is read, also as Windows saves it."""

import subprocess

import pytest
from rig.programs import program
from rig.sink import Certificates

BOM = b"\xef\xbb\xbf"


class Stage:
    def __init__(self, world):
        self.folder = world.directory / "files"
        self.folder.mkdir()
        self.certificates = Certificates(self.folder / "tls", ["gw.corp.example"])
        self.gateway = world.gateway(world.sink(), users=["bob", "postmaster"], start=False)
        made = subprocess.run([program("waypost"), "passwd", "exchange"], input="Pass-word 1!\n", capture_output=True,
                              text=True, timeout=30, check=True)
        self.password_line = made.stdout.strip().encode()

    def file(self, name, content):
        path = self.folder / name
        path.write_bytes(content)
        path.chmod(0o600)
        return str(path)

    def pem(self, source):
        return self.file(f"bom-{len(list(self.folder.iterdir()))}.pem", BOM + open(source, "rb").read())

    def passwords(self, content):
        self.gateway.config["admission"] = {"networks": ["127.0.0.0/8"], "password_file": self.file("passwords", content)}

    def tls(self, chain, key, **more):
        self.gateway.config["tls"] = {"certificates": [{"chain": chain, "key": key}], **more}

    def hop(self, **more):
        self.gateway.config["next_hops"]["other"] = {"hosts": ["127.0.0.1:9"], "tls": "verify", "tls_names": ["x.example"], **more}
        self.gateway.config["routing"]["target_domains"]["other.example"] = "other"

    def check(self):
        self.gateway.write_config()
        return self.gateway.run("check")


GOOD = {
    "password file with BOM before a comment": lambda s: s.passwords(BOM + b"# users\r\n" + s.password_line + b"\r\n"),
    "password file with BOM before the user": lambda s: s.passwords(BOM + s.password_line + b"\r\n"),
    "chain with BOM": lambda s: s.tls(s.pem(s.certificates.chain), s.certificates.key),
    "key with BOM": lambda s: s.tls(s.certificates.chain, s.pem(s.certificates.key)),
    "client CAs with BOM": lambda s: s.tls(s.certificates.chain, s.certificates.key, client_ca_file=s.pem(s.certificates.ca)),
    "next hop's CAs with BOM": lambda s: s.hop(tls_ca_file=s.pem(s.certificates.ca)),
    "next hop's password with BOM": lambda s: s.hop(auth_user="gw", auth_password_file=s.file("secret", BOM + b"secret\r\n")),
    "SRS secret with BOM": lambda s: s.gateway.config.update(
        srs={"domain": "srs.corp.example", "secret_file": s.file("srs", BOM + b"0123456789abcdef0123456789abcdef\r\n")}),
}
WRONG = {
    "another program's hash": (lambda s: s.passwords(b"exchange:{SHA}abcdef\n"), "passwords:1: the hash is neither"),
    "password file in UTF-16": (lambda s: s.passwords("exchange:x\n".encode("utf-16")), "passwords: is UTF-16"),
    "a user twice": (lambda s: s.passwords(s.password_line + b"\n" + s.password_line + b"\n"), "passwords:2: user exchange is there twice"),
    "SRS secret too short": (lambda s: s.gateway.config.update(
        srs={"domain": "srs.corp.example", "secret_file": s.file("srs", b"short\n")}), "line 1 is too short"),
    "client CAs without a certificate": (lambda s: s.tls(s.certificates.chain, s.certificates.key,
                                                         client_ca_file=s.file("ca.pem", b"nothing\n")), "ca.pem: "),
    "next hop's CAs without a certificate": (lambda s: s.hop(tls_ca_file=s.file("ca.pem", b"nothing\n")), "ca.pem: "),
    "broken intermediate": (lambda s: s.tls(s.file("chain.pem", open(s.certificates.chain, "rb").read()
                                                   + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
                                            s.certificates.key), "chain.pem: "),
    "next hop's password empty": (lambda s: s.hop(auth_user="gw", auth_password_file=s.file("secret", b"\n")), "secret:1: the first line is empty"),
}


def plain(name):
    """It names the test's folder."""
    return name.replace(" ", "-").replace("'", "")


@pytest.mark.parametrize("name", GOOD, ids=plain)
def test_starts(world, name):
    stage = Stage(world)
    GOOD[name](stage)
    checked = stage.check()
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert ": error: " not in checked.stderr
    stage.gateway.start()


@pytest.mark.parametrize("name", WRONG, ids=plain)
def test_found(world, name):
    stage = Stage(world)
    change, words = WRONG[name]
    change(stage)
    checked = stage.check()
    assert checked.returncode == 1, checked.stdout + checked.stderr
    errors = [line for line in checked.stderr.splitlines() if ": error: " in line]
    assert len(errors) == 1 and words in errors[0] and "waypost.yaml:" in errors[0], checked.stderr
    started = stage.gateway.run("serve")
    assert started.returncode in (69, 78), started.stderr
