"""A directory that is Active Directory: Samba's domain controller. What has changed is read by uSNChanged."""

import json

import pytest
from conftest import program
from rig.samba import ADMIN, ADMIN_PASSWORD, BASE, HOST, READER, SambaDomain, person, unit
from rig.sink import Certificates


@pytest.fixture(scope="module")
def domain(work_folder):
    directory = work_folder / "samba"
    directory.mkdir()
    samba = SambaDomain(directory, Certificates(directory / "tls", [HOST]))
    try:
        yield samba.start()
    finally:
        samba.stop()


class Stage:
    """An organisational unit with people, and a gateway's configuration that reads it."""

    def __init__(self, world, domain, name):
        self.domain, self.name = domain, name
        self.gateway = world.gateway(world.sink(), start=False)
        self.snapshot = world.directory / "ad.csv"
        self.base = f"OU={name},{BASE}"
        domain.modify(unit(name) + "".join(person(f"p{n}", name) for n in range(1, 9)))
        self.configure()

    def configure(self, server=f"ldaps://{HOST}", **settings):
        options = {"servers": [server], "ca_file": self.domain.certificates.ca, "base": self.base, "bind_dn": READER,
                   "password_file": str(self.domain.password_file), "snapshot": str(self.snapshot), "page_size": 3} | settings
        self.gateway.config["directories"] = {"ad": {key: value for key, value in options.items() if value != ""}}
        self.gateway.write_config()

    def as_administrator(self, world):
        password = world.directory / "administrator"
        password.write_text(ADMIN_PASSWORD)
        password.chmod(0o600)
        self.configure(bind_dn=ADMIN, password_file=str(password))

    def waypost(self, *arguments, env=None):
        return self.domain.run(program("waypost"), "directory", *arguments, "--config", self.gateway.config_file, env=env, check=False)

    def sync(self, *arguments, env=None):
        ran = self.waypost("sync", "ad", "--json", *arguments, env=env)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return json.loads(ran.stdout)

    def change(self, name, *lines):
        self.domain.modify(f"dn: CN={name},{self.base}\nchangetype: modify\n" + "\n".join(lines) + "\n\n")

    def rows(self):
        lines = self.snapshot.read_text().splitlines()
        return {line.split(",")[0]: line.split(",")[1] for line in lines if line[0] != "#" and not line.startswith("address,")}


def test_what_has_changed_is_read(world, domain):
    stage = Stage(world, domain, "changes")
    first = stage.sync()
    assert first["full"] and first["entries"] == 16, first
    stage.change("p1", "replace: targetAddress", "targetAddress: smtp:new@orgname.awsapps.com")
    stage.change("p2", "delete: targetAddress")
    stage.change("p3", "add: homeMDB", f"homeMDB: CN=Users,{BASE}")
    stage.change("p4", "delete: proxyAddresses", "proxyAddresses: smtp:p4.alias@corp.example")
    domain.modify(person("p9", "changes"))
    outcome = stage.sync()
    assert not outcome["full"], outcome["why_full"]
    assert (outcome["added"], outcome["removed"], outcome["retargeted"]) == (2, 5, 2), outcome
    rows = stage.rows()
    assert rows["p1@corp.example"] == "new@orgname.awsapps.com" and "p9@corp.example" in rows
    assert not {"p2@corp.example", "p3@corp.example", "p4.alias@corp.example"} & set(rows)
    again = stage.sync()
    assert not again["full"] and not again["changed"], again
    whole = stage.sync("--full")
    assert whole["full"] and not whole["changed"], whole  # both ways of reading agree


def test_the_deleted_leave(world, domain):
    stage = Stage(world, domain, "deleted")
    stage.as_administrator(world)
    assert json.loads(stage.waypost("check", "ad", "--json").stdout)["shows_deleted"]
    stage.sync()
    domain.modify(f"dn: CN=p1,{stage.base}\nchangetype: delete\n\n"
                  f"dn: CN=p2,{stage.base}\nchangetype: modrdn\nnewrdn: CN=renamed\ndeleteoldrdn: 1\n\n"
                  f"dn: CN=p3,{stage.base}\nchangetype: modrdn\nnewrdn: CN=p3\ndeleteoldrdn: 1\nnewsuperior: CN=Users,{BASE}\n\n")
    outcome = stage.sync()
    assert not outcome["full"], outcome["why_full"]
    assert (outcome["added"], outcome["removed"]) == (0, 4), outcome  # deleted, and moved out of the base
    assert "CN=renamed," in stage.snapshot.read_text()


def test_wrong_credentials_say_why(world, domain):
    stage = Stage(world, domain, "wrong")
    wrong = world.directory / "wrong"
    wrong.write_text("Not.The.Passw0rd")
    wrong.chmod(0o600)
    stage.configure(password_file=str(wrong))
    ran = stage.waypost("sync", "ad")
    assert ran.returncode == 69 and "the name or the password is wrong" in ran.stderr, ran.stderr


@pytest.mark.parametrize("tls", ["ldaps", "starttls", "none"])
def test_kerberos(world, domain, tls):
    stage = Stage(world, domain, f"kerberos-{tls}")
    server = f"ldaps://{HOST}" if tls == "ldaps" else f"ldap://{HOST}"
    stage.configure(server, bind="gssapi", bind_dn="", password_file="", tls="none" if tls == "none" else "verify")
    ticket = f"FILE:{world.directory}/ticket"
    no_key = stage.waypost("sync", "ad", env={"KRB5CCNAME": ticket, "KRB5_CLIENT_KTNAME": f"FILE:{world.directory}/no-keytab"})
    assert no_key.returncode == 69 and "KRB5_CLIENT_KTNAME" in no_key.stderr, no_key.stderr
    outcome = stage.sync(env={"KRB5CCNAME": ticket, "KRB5_CLIENT_KTNAME": f"FILE:{domain.keytab()}"})
    assert outcome["entries"] == 16, outcome


def test_the_whole_domain_needs_no_referral(world, domain):
    """At the root of a domain Active Directory refers to its other partitions unless it is asked not to."""
    stage = Stage(world, domain, "whole")
    stage.configure(base=BASE, filter="(&(objectClass=user)(sAMAccountName=p*-whole))")
    assert stage.sync()["entries"] == 16

