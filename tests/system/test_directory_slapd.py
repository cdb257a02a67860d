"""A directory over LDAP: OpenLDAP's slapd with a schema like Exchange's, in order and in trouble."""

import json
import socket

import pytest
from conftest import message
from rig.sink import Certificates
from rig.slapd import PEOPLE, Slapd, entry, person
from rig.wire import Wire

PEOPLE_COUNT = 25


def many(count=PEOPLE_COUNT):
    return "".join(person(f"p{number}", number) for number in range(1, count + 1))


@pytest.fixture(scope="session")
def tls(work_folder):
    return Certificates(work_folder / "directory-tls", ["127.0.0.1"])


class Stage:
    """A slapd and a gateway that is configured for it but not started."""

    def __init__(self, world, tls, ldif, **slapd):
        self.slapd = world.peer(Slapd(world.directory, tls, **slapd))
        self.slapd.load(ldif)
        self.slapd.start()
        self.world, self.snapshot = world, world.directory / "ad.csv"
        self.gateway = world.gateway(world.sink(), start=False)
        self.configure()

    def configure(self, *servers, **settings):
        self.gateway.config["directories"] = {"ad": self.slapd.options(*servers, page_size=10, **settings)}
        self.gateway.write_config()

    def wire(self, **how):
        return self.world.peer(Wire(self.slapd.tls_port, **how))

    def sync(self, *arguments):
        return self.gateway.run("directory", "sync", "ad", *arguments)

    def good(self, *arguments):
        """The outcome of a synchronisation that must go well."""
        ran = self.sync("--json", *arguments)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return json.loads(ran.stdout)

    def refused(self, code, *arguments):
        """What is said about one that must fail; the snapshot stays as it is."""
        before = self.snapshot.read_text() if self.snapshot.exists() else None
        ran = self.sync(*arguments)
        assert ran.returncode == code, ran.stdout + ran.stderr
        assert (self.snapshot.read_text() if self.snapshot.exists() else None) == before
        return ran.stderr

    def rows(self):
        lines = self.snapshot.read_text().splitlines()
        return {line.split(",")[0]: line.split(",")[1] for line in lines if line[0] != "#" and not line.startswith("address,")}


@pytest.fixture
def stage(world, tls):
    return Stage(world, tls, many())


def free_of_listeners():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_people_become_rows(world, tls):
    odd = (person("wave", 101, extensionAttribute10="pilot") + person("mailbox", 102, homeMDB=f"CN=db,{PEOPLE}")
           + person("elsewhere", 103, targetAddress="smtp:x@elsewhere.example") + person("bär", 104, mail=None, proxyAddresses=[
               "SMTP:baer@corp.example", "smtp:baer@outside.example"])
           + person("twin", 105, proxyAddresses=["SMTP:wave@corp.example"], mail="twin@corp.example")
           + entry(f"OU=Deep,{PEOPLE}", objectClass="organizationalUnit", ou="Deep"))
    stage = Stage(world, tls, many() + odd)
    stage.configure(attributes={"wave": "extensionAttribute10"})
    outcome = stage.good()
    assert outcome["full"] and outcome["changed"] and outcome["people"] == PEOPLE_COUNT + 3, outcome
    rows = stage.rows()
    assert len(rows) == outcome["entries"] == 2 * PEOPLE_COUNT + 2 + 1 + 1
    assert rows["p7.alias@corp.example"] == "p7@orgname.awsapps.com"
    assert rows["baer@corp.example"] == "bär@orgname.awsapps.com"
    assert "elsewhere@corp.example" not in rows and "mailbox@corp.example" not in rows
    assert outcome["left_out"] == 1
    assert len(outcome["problems"]) == 1 and "cn=twin," in outcome["problems"][0] and "cn=wave," in outcome["problems"][0]
    again = stage.good()
    assert again["full"] and not again["changed"], again  # slapd counts no changes


def test_check_changes_nothing(stage):
    ran = stage.gateway.run("directory", "check", "ad")
    assert ran.returncode == 0, ran.stderr
    assert "TLS         TLS1.3" in ran.stdout and "10 people with 20 addresses on the first page; there are more" in ran.stdout, ran.stdout
    assert not stage.snapshot.exists()
    stage.gateway.config["directories"]["ad"]["servers"].insert(0, "ldaps://127.0.0.1:9")  # nobody is there
    stage.gateway.write_config()
    ran = stage.gateway.run("directory", "check", "ad")
    assert ran.returncode == 0 and "not used    ldaps://127.0.0.1:9" in ran.stderr and "not used" not in ran.stdout, ran
    unknown = stage.gateway.run("directory", "check", "nobody")
    assert unknown.returncode == 64 and "there are: ad" in unknown.stderr


def test_start_tls_and_plain_text_on_loopback(stage):
    stage.configure(f"ldap://127.0.0.1:{stage.slapd.port}")
    assert stage.good()["entries"] == 2 * PEOPLE_COUNT
    assert "TLS established tls_ssf=256" in stage.slapd.log()
    stage.configure(f"ldap://127.0.0.1:{stage.slapd.port}", tls="none")
    assert json.loads(stage.gateway.run("directory", "check", "ad", "--json").stdout)["tls"] == "none"


@pytest.mark.parametrize("scheme", ["ldaps", "ldap"])
def test_a_server_that_can_not_prove_itself_gets_no_password(stage, world, monkeypatch, scheme):
    # Nothing in the environment may weaken the verification.
    monkeypatch.setenv("LDAPTLS_REQCERT", "never")
    port = stage.slapd.tls_port if scheme == "ldaps" else stage.slapd.port
    stage.configure(f"{scheme}://localhost:{port}")  # the certificate names 127.0.0.1
    assert "TLS handshake" in stage.refused(69)
    other = Certificates(world.folder("other-ca"), ["127.0.0.1"])
    stage.configure(f"{scheme}://127.0.0.1:{port}", ca_file=other.ca)
    assert "TLS handshake" in stage.refused(69)
    assert "BIND" not in stage.slapd.log()


def test_wrong_credentials_are_tried_once(stage):
    first, second = stage.wire(), stage.wire()
    stage.slapd.password_file.write_text("not the password\n")
    stage.configure(*[f"ldaps://127.0.0.1:{wire.port}" for wire in (first, second)])
    said = stage.refused(69)
    assert "Invalid credentials" in said and "lock" in said, said
    assert (first.connections, second.connections) == (1, 0)


def test_a_server_that_is_down_is_passed_over(stage):
    down = f"ldaps://127.0.0.1:{free_of_listeners()}"
    silent = stage.wire(then="stall")
    stage.configure(down, f"ldaps://127.0.0.1:{silent.port}", f"ldaps://127.0.0.1:{stage.slapd.tls_port}", connect_timeout="1s")
    outcome = stage.good()
    assert outcome["server"].endswith(f":{stage.slapd.tls_port}")
    assert "refused" in outcome["failed_servers"][0] and "no answer within" in outcome["failed_servers"][1], outcome
    stage.configure(down)
    assert "refused" in stage.refused(69)


def test_a_size_limit_fails_the_whole(world, tls):
    stage = Stage(world, tls, many(), limits=["limits * size.prtotal=15"])
    said = stage.refused(69)
    assert "page 2" in said and "Size limit exceeded" in said and "raise its limit" in said, said
    assert not stage.snapshot.exists()


@pytest.mark.parametrize("then", ["cut", "stall"])
def test_half_a_page_is_no_page(stage, then):
    stage.good()
    # Far enough for the handshake, the bind and a first page.
    broken = stage.wire(octets=6000, then=then)
    stage.configure(f"ldaps://127.0.0.1:{broken.port}", operation_timeout="1s")
    said = stage.refused(69)
    assert "page" in said and ("cut the connection" if then == "cut" else "no answer within") in said, said
    stage.configure()
    assert stage.good()["entries"] == 2 * PEOPLE_COUNT


@pytest.mark.parametrize("octets", [0, 6000])
def test_a_server_that_drips_holds_nobody(stage, octets):
    dripping = stage.wire(octets=octets, then="drip")
    stage.configure(f"ldaps://127.0.0.1:{dripping.port}", connect_timeout="1s", operation_timeout="1s", total_timeout="10m")
    assert "no answer within" in stage.refused(69)


def test_who_leaves_leaves_and_a_crowd_only_when_confirmed(stage):
    stage.good()
    stage.slapd.modify(f"dn: CN=p1,{PEOPLE}\nchangetype: delete\n\n"
                       f"dn: CN=p2,{PEOPLE}\nchangetype: modify\nreplace: targetAddress\ntargetAddress: smtp:new@orgname.awsapps.com\n")
    outcome = stage.good()
    assert (outcome["added"], outcome["removed"], outcome["retargeted"]) == (0, 2, 2), outcome
    stage.slapd.modify("".join(f"dn: CN=p{n},{PEOPLE}\nchangetype: modify\ndelete: targetAddress\n\n" for n in range(3, 10)))
    assert "14 of 48 entries would leave" in stage.refused(1)
    assert stage.good("--confirm-shrink")["entries"] == 34


def test_a_damaged_snapshot_is_replaced(stage):
    stage.good()
    good = stage.rows()
    stage.snapshot.write_text(stage.snapshot.read_text()[:-200])
    outcome = stage.good()
    assert "checksum" in outcome["why_full"] and outcome["changed"]
    assert stage.rows() == good


def test_restart_without_a_directory_routes_from_the_snapshot(world, stage):
    stage.good()
    stage.slapd.stop()
    stage.refused(69)
    stage.gateway.config["routing"]["tables"] = [str(stage.snapshot)]
    stage.gateway.start()
    assert world.exchange().send("ann@ext.example", ["p3.alias@corp.example"], message()).accepted
    stage.gateway.wait_empty()
    assert world.sinks[0].addresses() == ["p3@orgname.awsapps.com"]
    assert stage.gateway.explain("p3@corp.example")["source"] == str(stage.snapshot)
