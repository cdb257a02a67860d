"""The show of tools/quickstart: sends what Exchange would send, and prints what became of each message."""

import hashlib
import os
import pathlib
import re
import shutil
import signal
import sys
import tempfile
import textwrap
from dataclasses import dataclass, field

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from rig.exchange import Exchange  # noqa: E402
from rig.gateway import Gateway  # noqa: E402
from rig.processes import RigError, wait_for  # noqa: E402
from rig.programs import ROOT, me, program  # noqa: E402
from rig.sink import Certificates, Sink  # noqa: E402

FOLDER = ROOT / "build" / "quickstart"
TABLE = [
    ("ann@corp.example", "ann@orgname.awsapps.com", "active", "pilot"),
    ("bob@corp.example", "bob@orgname.awsapps.com", "active", "pilot"),
    ("carol@corp.example", "carol@orgname.awsapps.com", "active", "wave-1"),
    ("o'brien@corp.example", "obrien@orgname.awsapps.com", "active", "wave-1"),
    ("jürgen@corp.example", "juergen@orgname.awsapps.com", "active", "wave-1"),
    ("dmitri@corp.example", "dmitri@orgname.awsapps.com", "pending", "wave-2"),
]


@dataclass
class Case:
    """One message as Exchange sends it. expected: RCPT address -> target, or the refusal's code."""
    title: str
    expected: dict
    content: bytes
    sender: str = "ann@ext.example"
    bdat: bool = True
    chunks: list = field(default_factory=list)
    smtputf8: bool = False
    words: dict = field(default_factory=dict)  # RCPT parameters
    result: object = None


def text(subject, body="Hello Bob,\r\n\r\nas agreed.\r\n\r\nRegards, Ann\r\n"):
    return (f"From: Ann <ann@ext.example>\r\nTo: Bob <bob@corp.example>\r\nSubject: {subject}\r\n"
            f"Date: Mon, 01 Dec 2025 10:00:00 +0000\r\nMessage-ID: <{abs(hash(subject)):x}@ext.example>\r\n\r\n"
            f"{body}").encode("utf-8")


def cases():
    attachment = ("0123456789abcdef" * 4 + "\r\n") * 30_000
    bob = {"bob@corp.example": "bob@orgname.awsapps.com"}
    return [
        Case("shape B: own address, BDAT", bob, text("internal relay"),
             words={"bob@corp.example": "ORCPT=rfc822;robert@corp.example"}),
        Case("shape A: already rewritten, DATA", {"bob@orgname.awsapps.com": "bob@orgname.awsapps.com"},
             text("mail user", body=".leading dot\r\n..\r\ntext\r\n"), bdat=False),
        Case("shape C: somebody else's address", {"eve@partner.example": 550}, text("not for us")),
        Case("A, B and an unknown one together",
             {"carol@orgname.awsapps.com": "carol@orgname.awsapps.com", "bob@corp.example": "bob@orgname.awsapps.com",
              "nobody@corp.example": 550}, text("mixed")),
        Case("group copy, three BDAT chunks",
             {"ann@corp.example": "ann@orgname.awsapps.com", "left@corp.example": 550,
              "carol@corp.example": "carol@orgname.awsapps.com"}, text("group", "x" * 998 + "\r\n" + "list\r\n" * 9000),
             chunks=[30_000, 21_000], words={a: "NOTIFY=NEVER" for a in
                                             ("ann@corp.example", "left@corp.example", "carol@corp.example")}),
        Case("null sender (a report)", {"carol@corp.example": "carol@orgname.awsapps.com"}, text("Undeliverable"),
             sender=""),
        Case("8-bit text", bob, text("Grüße aus Köln", "Schöne Grüße, здравствуйте, 日本語\r\n")),
        Case("internationalised address", {"jürgen@corp.example": "juergen@orgname.awsapps.com"}, text("SMTPUTF8"),
             smtputf8=True),
        Case("2 MB attachment", bob, text("attachment", attachment), chunks=[1_000_000]),
        Case("bare LF inside (BDAT only)", bob, text("bare LF", "one\ntwo\n.\nthree\r\n")),
        Case("plus-address", {"bob+lists@corp.example": "bob+lists@orgname.awsapps.com"}, text("plus")),
        Case("second name of the domain", {"O'Brien@old-corp.example": "obrien@orgname.awsapps.com"}, text("alias")),
        Case("mailbox of a later wave", {"dmitri@corp.example": 451}, text("not moved yet")),
        Case("stale Outlook entry", {"IMCEAEX-_O=CORP_OU=SITE_CN=RECIPIENTS_CN=BOB@corp.example": 550}, text("IMCEAEX")),
        Case("empty body", bob, text("empty", "")),
    ]


def say(line=""):
    print(line, flush=True)


def set_up():
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    gateway_tls = Certificates(FOLDER / "gateway-tls", ["gw.corp.example"])
    sink_tls = Certificates(FOLDER / "workmail-tls", ["inbound-smtp.local"])
    sink = Sink(FOLDER, "workmail", certificates=sink_tls, keep_content=True)
    gateway = Gateway(FOLDER, gateway_tls)
    if len(str(gateway.socket)) > 100:  # the system's limit for a Unix socket's path
        short = pathlib.Path(tempfile.mkdtemp(prefix="waypost-"))
        gateway.config["admin"]["socket"] = str(short / "admin.sock")
        sink.control = short / "workmail.sock"
    sink.start()
    gateway.route(sink)
    gateway.config["routing"]["domain_aliases"] = {"old-corp.example": "corp.example"}
    gateway.write_table(TABLE)
    gateway.start()
    return gateway, sink, gateway_tls


def send(all_cases, gateway, ca_file):
    exchange = Exchange(gateway.smtp_port, ca_file=ca_file)
    tls = exchange.tls_version()
    for case in all_cases:
        recipients = [(address, case.words.get(address, "")) for address in case.expected]
        case.result = exchange.send(case.sender, recipients, case.content, chunks=case.chunks, bdat=case.bdat,
                                    smtputf8=case.smtputf8)
    exchange.quit()
    return tls


def find_record(sink, queue_id, target):
    for record in sink.records():
        if re.search(rf"\bid {queue_id}\b", record["received"]) and any(
                r["address"] == target for r in record["recipients"]):
            return record
    return None


@dataclass
class Row:
    """One recipient of one message in the table."""
    number: str
    title: str
    address: str
    decision: str
    heard: str
    arrived: str
    tls: str
    identical: str
    why: str
    good: bool


def judge(case, number, address, gateway, sink):
    explanation = gateway.explain(address)
    reply = case.result.recipients[address]
    expected = case.expected[address]
    target = explanation.get("target", "")
    decision = explanation["verdict"] + (f" -> {target}" if target else "")
    row = Row(str(number), case.title, address, decision, f"{reply.code} {reply.text.split(' ')[0]}", "-", "-", "-",
              explanation["why"], False)
    if isinstance(expected, int):
        row.good = reply.code == expected and explanation["verdict"] in ("refuse", "defer")
        row.heard = f"{reply.code} {reply.text}"
        return row
    row.heard = f"250, {case.result.queue_id or 'not queued: ' + str(case.result.verdict)}"
    record = find_record(sink, case.result.queue_id, expected)
    if record is None:
        row.arrived = "NOT ARRIVED"
        return row
    same = record["sha256_below"] == hashlib.sha256(case.content).hexdigest()
    sender_kept = record["sender"] == (case.sender or "<>")
    delivered = gateway.events("delivered", queue_id=case.result.queue_id, recipient=address)
    protection = delivered[0].get("tls", "") if delivered else ""
    row.arrived = f"{expected}, {record['transfer']}"
    row.tls = f"{record.get('tls', 'none')}, certificate {'verified' if 'verified' in protection else 'NOT VERIFIED'}"
    row.identical = "yes" if same else "NO"
    row.good = same and sender_kept and target == expected and reply.code == 250 and "verified" in row.tls.split(
        "certificate ")[1]
    return row


def show(rows):
    columns = [("#", 2), ("what Exchange sent", 33), ("RCPT TO", 28), ("what it heard", 19), ("decided", 41),
               ("the stand-in received", 37), ("TLS", 30), ("body identical", 14)]

    def line(values):
        cells = [(v if len(v) <= w else v[:w - 1] + "…").ljust(w) for v, (_, w) in zip(values, columns)]
        say("  ".join(cells).rstrip())
    line([name for name, _ in columns])
    line(["-" * width for _, width in columns])
    last = None
    for row in rows:
        first = row.number != last
        last = row.number
        line([row.number if first else "", row.title if first else "", row.address, row.heard, row.decision, row.arrived,
              row.tls, row.identical])
        say(f"    {'' if row.good else 'WRONG  '}because {row.why}")


def how_to_look_further(gateway, sink):
    waypost = os.path.relpath(program("waypost"))
    config = os.path.relpath(gateway.config_file)
    tracking = os.path.relpath(gateway.tracking_file)
    delivered = gateway.events("delivered")
    queue_id = delivered[0]["queue_id"] if delivered else "QUEUE-ID"
    say()
    say("Look further:")
    for what, command in [
            ("why an address goes where it goes", f"{waypost} route explain bob@corp.example --config {config}"),
            ("one message, from 250 to delivery", f"grep {queue_id} {tracking}"),
            ("what is in the store", f"{waypost} spool dump --config {config}"),
            ("the configuration, and whether it is right", f"less {config}; {waypost} check --as {me()} --config {config}"),
            ("the routing table", f"less {os.path.relpath(gateway.table_file)}"),
            ("what the gateway said", f"less {os.path.relpath(gateway.log_file)}"),
            ("what the stand-in received", f"less {os.path.relpath(sink.record_file)}; ls "
                                           f"{os.path.relpath(sink.eml_directory)}"),
            ("keep both running and play", "tools/quickstart --keep"),
            ("how it is built", "src/README.md; tests: tools/run-tests")]:
        say(f"  {what:44} {command}")


def keep_running(gateway, sink):
    say()
    say(textwrap.dedent(f"""\
        Running until Ctrl-C. Gateway: 127.0.0.1:{gateway.smtp_port} (SMTP), http://127.0.0.1:{gateway.http_port}/metrics;
        stand-in: 127.0.0.1:{sink.port}. For example:
          swaks --server 127.0.0.1:{gateway.smtp_port} --tls --from ann@ext.example --to bob@corp.example
          curl --unix-socket {os.path.relpath(sink.control)} -d 'at=rcpt;reply=451 4.3.0 later;times=3' http://x/v1/rules"""))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        signal.pause()
    except (KeyboardInterrupt, SystemExit):
        pass


def main():
    gateway, sink, gateway_tls = set_up()
    try:
        say(f"gateway 127.0.0.1:{gateway.smtp_port} (pid {gateway.process.pid}), stand-in for WorkMail "
            f"127.0.0.1:{sink.port} (pid {sink.process.pid}), folder {os.path.relpath(FOLDER)}")
        all_cases = cases()
        tls = send(all_cases, gateway, gateway_tls.ca)
        say(f"sent {len(all_cases)} messages as Exchange does, over {tls}; waiting for the deliveries")
        expected = sum(not isinstance(t, int) for c in all_cases for t in c.expected.values())
        wait_for(lambda: len(sink.addresses()) >= expected and gateway.queued() == 0,
                 lambda: f"{expected} deliveries, there are {len(sink.addresses())}", 30)
        wait_for(lambda: len(gateway.events("delivered")) >= expected, "the tracking log", 10)
        say()
        rows = [judge(case, number, address, gateway, sink) for number, case in enumerate(all_cases, 1)
                for address in case.expected]
        show(rows)
        wrong = sum(not row.good for row in rows)
        say()
        say(f"{len(all_cases)} messages, {len(rows)} recipients: " + ("all as they should be" if not wrong else
                                                                   f"{wrong} WRONG"))
        how_to_look_further(gateway, sink)
        if "--keep" in sys.argv[1:]:
            keep_running(gateway, sink)
        return 1 if wrong else 0
    except RigError as error:
        say(f"\nquickstart: {error}\n\nThe gateway's log: {gateway.log_file}")
        return 1
    finally:
        for one in (gateway, sink):
            try:
                one.stop()
            except RigError as error:
                say(str(error))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RigError as error:
        say(f"quickstart: {error}")
        sys.exit(1)
