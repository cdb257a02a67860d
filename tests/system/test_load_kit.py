"""waypost-load against the gateway: it says that all is well when it is, and what is wrong when it is not."""

import json
import pathlib
import re
import subprocess
from html.parser import HTMLParser

import pytest

from conftest import SINK_NAME, program
from rig.gateway import OWN_NAME, TARGET_DOMAIN
from rig.processes import free_port, wait_for

USERS = [f"user{n}" for n in range(50)]


def load(*arguments, timeout=120):
    return subprocess.run([str(program("waypost-load")), *map(str, arguments)], check=False, capture_output=True,
                          text=True, timeout=timeout)


@pytest.fixture
def kit(world):
    """A gateway with 50 people who have moved, its sink with a log, and a way to send through it."""
    class Kit:
        def __init__(self):
            self.directory = world.directory
            self.sink_log = self.directory / "sink.log"
            self.sink = world.sink(options=["--log", self.sink_log])
            self.gateway = world.gateway(self.sink, start=False)
            self.gateway.write_table([(f"{u}@corp.example", f"{u}@{TARGET_DOMAIN}") for u in [*USERS, "ann"]])
            self.gateway.start()
            self.send_log, self.report = self.directory / "send.log", self.directory / "send.json"

        def send(self, *arguments):
            return load("send", "--target", f"127.0.0.1:{self.gateway.smtp_port}", "--tls-name", OWN_NAME,
                        "--ca-file", world.gateway_certificates.ca, *([] if "--table" in arguments else ["--table", self.gateway.table_file]), "--from", "ann@corp.example", "--size", "2KiB", "--log", self.send_log,
                        "--json", self.report, *arguments)

        def verify(self, *arguments):
            self.gateway.wait_empty()
            return load("verify", "--sent", self.send_log, "--received", self.sink_log, *arguments)
    return Kit()


class Page(HTMLParser):
    """The report as a browser would take it apart: title, heading, and for each chart its lines and its faults."""

    def __init__(self, text):
        super().__init__()
        self.title = self.heading = self.caption = ""
        self.charts, self.faults, self.open = {}, {}, []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "br"):
            self.open.append((tag, dict(attrs).get("class")))
        if tag == "svg":
            assert dict(attrs)["width"].isdigit() and self.open[-2] == ("div", "scroll"), "it would shrink its words"

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag, tag

    def handle_data(self, data):
        inside = [tag for tag, _ in self.open]
        if inside[-1:] == ["h1"]:
            self.heading = data
        elif inside[-1:] == ["figcaption"]:
            self.caption = data
            self.charts[data], self.faults[data] = set(), []
        elif inside[-2:] == ["path", "title"]:
            self.charts[self.caption].add(data)
        elif inside[-2:] == ["rect", "title"]:
            self.faults[self.caption].append(data)
        elif inside[-2:] == ["head", "title"]:
            self.title = data


def figures(text):
    """{"arrived once": 300, ...}"""
    return {name.strip(): int(number.replace(",", ""))
            for name, number in re.findall(r"^  ([a-z][a-z ,]+?) {2,}([\d,]+)$", text, re.MULTILINE)}


def test_everything_arrives_once(kit):
    sent = kit.send("--count", 300, "--servers", 2, "--connections", 3, "--unknown-share", 0.1)
    assert sent.returncode == 0, sent.stdout + sent.stderr
    page = kit.directory / "report.html"
    verified = kit.verify("--admin-socket", kit.gateway.socket, "--report", kit.report, "--html", page,
                          "--json", kit.report)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "GOOD" in verified.stdout
    report = json.loads(kit.report.read_text())
    fates = report["accounting"]
    assert fates["messages"] == 300 and fates["good"]
    assert fates["arrived_once"] + fates["refused_as_expected"] == 300 and fates["refused_as_expected"] > 5
    assert report["sent"]["counts"]["verified"] == report["sent"]["counts"]["handshakes"] >= 15
    shown = Page(page.read_text())
    assert shown.charts["Throughput over time"] >= {"accepted", "refused as expected"}, shown.charts
    assert "failed" not in shown.charts["Throughput over time"] and "arrived" in shown.charts["What arrived over time"]
    assert shown.heading == shown.title and re.search(r"\b20\d\d, \d\d:\d\d UTC$", shown.heading), shown.heading
    assert len(kit.sink.records()) == fates["arrived_once"]


def test_a_burst_to_many_arrives_once_each(kit):
    sent = kit.send("--count", 20, "--burst-every", 10, "--burst-recipients", 40, "--pipelining", "full")
    assert sent.returncode == 0, sent.stdout + sent.stderr
    verified = kit.verify()
    assert verified.returncode == 0, verified.stdout
    assert figures(verified.stdout)["arrived once"] == 18 + 2 * 40


def test_what_bounces_is_found_in_the_reports(kit):
    kit.sink.rules("at=rcpt;match=user7@*;reply=550 5.1.1 nobody here")
    assert kit.send("--count", 400, "--group-share", 0.3).returncode == 0
    kit.gateway.wait_empty()
    verified = kit.verify("--queued", 0)
    assert verified.returncode == 1, verified.stdout
    found = figures(verified.stdout)
    silent = found.get("missing, no report asked for", 0)  # members of groups: NOTIFY=NEVER
    assert found["bounced"] > 0 and found["bounced"] + silent + found["arrived once"] == 400
    assert found["lost"] == 0
    said = [one for record in kit.sink.records() if record["sender"] for one in record["recipients"]]
    assert 60 < sum(one.get("notify") == ["NEVER"] for one in said) < 180
    assert all(one["orcpt"] == "rfc822;" + one["address"].replace(TARGET_DOMAIN, "corp.example") for one in said)
    assert kit.verify("--queued", 0, "--allow", "bounced", "--allow", "unreported").returncode == 0


def test_what_is_still_queued_is_asked_from_the_gateway(kit):
    kit.sink.rules("at=rcpt;match=user1*;reply=451 4.3.0 not now")
    assert kit.send("--count", 100).returncode == 0
    kit.gateway.wait_event("deferred")
    verified = load("verify", "--sent", kit.send_log, "--received", kit.sink_log, "--admin-socket", kit.gateway.socket,
                    "--wait", "3s")
    assert verified.returncode == 1, verified.stdout
    found = figures(verified.stdout)
    assert found["still queued"] > 0 and found["lost"] == 0
    unasked = load("verify", "--sent", kit.send_log, "--received", kit.sink_log, "--wait", "0s")
    assert unasked.returncode == 1 and figures(unasked.stdout)["lost"] == 0, unasked.stdout
    assert figures(unasked.stdout)["not judged, perhaps queued"] > 0 and "--admin-socket" in unasked.stdout
    kit.sink.rules()
    assert kit.verify().returncode == 0


def test_queued_mail_of_others_hides_no_loss(kit):
    kit.sink.rules("at=rcpt;match=user0@*;reply=451 4.3.0 not now", "at=end;reply=250 2.0.0 Ok;skip=5;times=7")
    others = load("send", "--target", f"127.0.0.1:{kit.gateway.smtp_port}", "--plain", "--to", "user0@corp.example", "--count", 30)
    assert others.returncode == 0, others.stdout
    kit.gateway.wait_event("deferred")
    few = kit.directory / "few.csv"
    few.write_text("address,target\n" + "".join(f"{u}@corp.example,{u}@{TARGET_DOMAIN}\n" for u in USERS[1:9]))
    assert kit.send("--table", few, "--count", 50, "--group-share", 0).returncode == 0
    wait_for(lambda: kit.gateway.queued() == 30, "only the others' mail in the queue")
    verified = load("verify", "--sent", kit.send_log, "--received", kit.sink_log, "--admin-socket", kit.gateway.socket,
                    "--allow", "queued", "--wait", "1s")
    assert verified.returncode == 1, verified.stdout
    found = figures(verified.stdout)
    assert found["lost"] == 7 and found["still queued"] == 0 and found["arrived once"] == 43


def test_a_sink_that_loses_is_found_out(kit):
    kit.sink.rules("at=end;reply=250 2.0.0 Ok;skip=5;times=7")  # says 250 and keeps nothing
    assert kit.send("--count", 100, "--group-share", 0).returncode == 0
    kit.gateway.wait_empty()
    verified = kit.verify("--queued", 0)
    assert verified.returncode == 1, verified.stdout
    assert figures(verified.stdout)["lost"] == 7
    assert "WRONG: 7 recipients" in verified.stdout and "queue id" in verified.stdout


def test_a_sink_that_duplicates_is_found_out(kit):
    kit.sink.rules("at=end;drop;keep;skip=5;times=4")  # keeps it and does not say so: the gateway must try again
    assert kit.send("--count", 100).returncode == 0
    verified = kit.verify()
    assert verified.returncode == 1, verified.stdout
    assert 1 <= figures(verified.stdout)["arrived more than once"] <= 4  # one may have been dropped twice


@pytest.mark.parametrize("figure, change", [
    ("changed", lambda fields: fields[:4] + ["0" * 16] + fields[5:]),
    ("at a wrong address", lambda fields: fields[:8] + ["eve@" + TARGET_DOMAIN]),
])
def test_what_a_broken_gateway_would_do_is_found_out(kit, figure, change):
    """The gateway does not do this; the sink's log is edited as if it had."""
    assert kit.send("--count", 20).returncode == 0
    assert kit.verify().returncode == 0
    lines = kit.sink_log.read_text().splitlines()
    lines[5] = "\t".join(change(lines[5].split("\t")))
    kit.sink_log.write_text("\n".join(lines) + "\n")
    verified = kit.verify()
    assert verified.returncode == 1, verified.stdout
    assert figures(verified.stdout)[figure] == 1


def test_run_does_all_three(world):
    port = free_port()
    gateway = world.gateway(start=False)
    gateway.config["next_hops"]["workmail"] = {
        "hosts": [f"127.0.0.1:{port}"], "tls": "verify", "tls_names": [SINK_NAME],
        "tls_ca_file": str(world.directory / "tls" / "ca.crt")}
    gateway.config["routing"]["target_domains"][TARGET_DOMAIN] = "workmail"
    gateway.write_table([(f"{u}@corp.example", f"{u}@{TARGET_DOMAIN}") for u in USERS])
    assert load("sink", "--make-certificates", world.directory / "tls", "--name", SINK_NAME).returncode == 0
    gateway.start()
    arguments = ["run", "--target", f"127.0.0.1:{gateway.smtp_port}", "--tls", "require", "--sink-listen",
                 f"127.0.0.1:{port}", "--sink-tls", world.directory / "tls", "--table", gateway.table_file,
                 "--rate", 200, "--duration", "2s", "--work-folder", world.directory / "logs"]
    first = load(*arguments, "--json", world.directory / "first.json")
    assert first.returncode == 0, first.stdout + first.stderr
    assert figures(first.stdout)["arrived once"] == 400
    second = load(*arguments, "--compare", world.directory / "first.json", "--count", 100)
    assert second.returncode == 0, second.stdout + second.stderr
    assert "compared with" in second.stdout


def test_faults_come_by_the_clock(world):
    faults = world.directory / "faults"
    faults.write_text("+0s full 2s\n")
    log = world.directory / "sink.log"
    sink = world.sink(tls=False, options=["--schedule", faults, "--log", log])
    target = ["--target", f"127.0.0.1:{sink.port}", "--plain", "--to", "bob@org.example", "--log",
              world.directory / "send.log"]
    sent = load("send", *target, "--rate", 50, "--duration", "4s")
    assert "452 4.2.2" in sent.stdout and sent.returncode == 0, sent.stdout
    verified = load("verify", "--sent", world.directory / "send.log", "--received", log, "--allow", "refused",
                    "--html", world.directory / "page.html")
    found = figures(verified.stdout)
    assert verified.returncode == 0 and found["refused"] > 20 and found["arrived once"] > 50, verified.stdout
    page = Page((world.directory / "page.html").read_text())
    assert page.faults["What arrived over time"] == ["full"] and page.faults["Throughput over time"] == ["full"], page.faults


def test_it_sends_nowhere_by_itself():
    for arguments in [["send", "--to", "bob@org.example", "--count", 1],
                      ["send", "--target", "localhost", "--to", "bob@org.example", "--count", 1],
                      ["send", "--target", "127.0.0.1:25", "--to", "bob@org.example"]]:
        refused = load(*arguments)
        assert refused.returncode == 2 and "--" in refused.stderr, refused


def test_a_wrong_certificate_ends_the_run_at_once(kit, world):
    other = kit.directory / "other-ca.crt"
    other.write_bytes(pathlib.Path(world.sink_certificates.ca).read_bytes())
    sent = load("send", "--target", f"127.0.0.1:{kit.gateway.smtp_port}", "--tls", "verify", "--ca-file", other, "--tls-name",
                "gw.corp.example", "--to", "user0@corp.example", "--count", 100)
    assert sent.returncode != 0
    assert "not trusted" in sent.stdout + sent.stderr and "--ca-file" in sent.stdout + sent.stderr
    failed = int(re.search(r"([\d,]+) failed", sent.stdout)[1].replace(",", ""))
    assert failed <= 40, sent.stdout  # one a connection at the most

