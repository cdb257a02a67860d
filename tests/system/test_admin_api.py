"""The admin API reads every request strictly: what it does not understand is refused and nothing happens."""

import json
import re
import socket

import pytest
from conftest import ROOT, message
from rig.sink import ask

# Each path: method, fields that are right, the required ones among them, and the type of one that has a type.
WAVE = {"verb": "hold", "wave": "wave-3"}
SELECTED = {"selector": {"wave": "wave-3"}}
ROUTES = [
    ("GET", "/v1/status", {}, [], {}),
    ("GET", "/v1/explain", {"address": "bob@corp.example"}, ["address"], {"size": "large"}),
    ("GET", "/v1/queue/list", {"all": "true"}, ["all"], {"from": "x"}),
    ("GET", "/v1/queue/content", {"queue_id": "2KQX8B1M4T7D"}, ["queue_id"], {"queue_id": "?"}),
    ("GET", "/v1/waves", {}, [], {}),
    ("GET", "/v1/wave/show", {"wave": "wave-3"}, ["wave"], {"wave": ""}),
    ("GET", "/v1/wave/members", {"wave": "wave-3"}, ["wave"], {"from": "-1"}),
    ("GET", "/v1/wave/plan", WAVE, ["verb", "wave"], {"names": "all"}),
    ("GET", "/v1/table/stats", {}, [], {}),
    ("GET", "/v1/table/who", {"address": "bob@corp.example"}, ["address"], {"address": "@"}),
    ("GET", "/v1/table/entries", {}, [], {"from": "1e3"}),
    ("GET", "/v1/table/diff", {}, [], {"names": "true"}),
    ("GET", "/v1/directories", {}, [], {}),
    ("POST", "/v1/reload", {}, [], {"confirm_shrink": "true"}),
    ("POST", "/v1/queue/control", {"verb": "delete", **SELECTED}, ["verb", "selector"], {"dry_run": "true"}),
    ("POST", "/v1/queue/export", SELECTED, ["selector"], {"reason": 1}),
    ("POST", "/v1/wave/command", WAVE, ["verb", "wave"], {"members": "bob@corp.example"}),
    ("POST", "/v1/wave/accept-journal", {"accept": True}, ["accept"], {"accept": "true"}),
    ("POST", "/v1/directory/sync", {"name": "ad"}, ["name"], {"full": 1}),
]


def test_the_page_lists_what_there_is(world):
    gateway = world.gateway(world.sink())
    status, answer = call(gateway, "GET", "/v1/nothing", {})
    assert status == 404 and answer["error"].startswith("no such path; there are "), answer
    there = {tuple(one.split(" ")) for one in answer["error"].removeprefix("no such path; there are ").split(", ")}
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    told = {(method, path) for method, paths in re.findall(r"^\| (GET|POST) \| (.*?) \|", page, re.MULTILINE)
            for path in re.findall(r"`(/v1/[^`]+)`", paths)}
    assert told == {one for one in there if one[1].startswith("/v1/")}
    assert {(method, path) for method, path, *_ in ROUTES} == told, "and each is asked here"
    # Who comes over TCP is told nothing of them.
    assert "/v1/" not in str(gateway.get("/nothing")[1])


def call(gateway, method, path, fields):
    """(status, answer), the fields where the method has them."""
    if method == "POST":
        status, text = ask(gateway.socket, method, path, json.dumps(fields))
    else:
        query = "&".join(f"{name}={value}" for name, value in fields.items())
        status, text = ask(gateway.socket, method, f"{path}?{query}")
    return status, json.loads(text)


@pytest.fixture(name="gateway")
def with_mail(world):
    """A gateway with one message of a pending wave, which waits."""
    workmail = world.sink()
    gateway = world.gateway(workmail, start=False)
    gateway.route(world.sink("old", name="old.local", tls=False), "unused.example", "old")
    gateway.config["routing"]["pending_next_hop"] = "old"
    gateway.write_table([("bob@corp.example", "bob@orgname.awsapps.com", "", "wave-3")])
    gateway.start()
    gateway.run("queue", "suspend", "--all")
    assert world.exchange().send("ann@ext.example", ["bob@corp.example"], message()).accepted
    assert gateway.queued() == 1
    return gateway


def state(gateway):
    """What must not change: the wave and the mail."""
    waves = call(gateway, "GET", "/v1/waves", {})[1]["waves"]
    mail = call(gateway, "GET", "/v1/queue/list", {"all": "true"})[1]
    return waves, [one for one in mail["messages"]]


def test_nothing_happens_by_a_mistake(gateway):
    before = state(gateway)
    for method, path, good, required, wrong_type in ROUTES:
        tries = [({**good, "verbose": "yes"}, "verbose")]
        tries += [({k: v for k, v in good.items() if k != name}, name if name != "selector" else "all") for name in required]
        tries += [({**good, **wrong_type}, next(iter(wrong_type)))] if wrong_type else []
        for fields, culprit in tries:
            status, said = call(gateway, method, path, fields)
            assert status == 400 and f"'{culprit}'" in said["error"], (method, path, fields, status, said)
            assert culprit in said["fields"], said
    assert state(gateway) == before


def test_typing_mistakes_of_commands_never_act(gateway):
    before = state(gateway)
    for path, body in (
            ("/v1/queue/control", {"verb": "delete", "dry_run": "true", "selecter": {}}),
            ("/v1/queue/control", {"verb": "delete", "selecter": {"wave": "wave-4"}}),
            ("/v1/queue/control", {"verb": "delete"}),
            ("/v1/queue/control", {"verb": "delete", "selector": {}}),
            ("/v1/queue/control", {"verb": "delete", "selector": {"ids": []}}),
            ("/v1/queue/control", {"verb": "delete", "selector": {"recipient": ""}}),
            ("/v1/queue/control", {"verb": "delete", "all": "true"}),
            ("/v1/queue/control", {"verb": "delete", "all": True, "selector": {"wave": "wave-3"}}),
            ("/v1/queue/control", {"verb": "delete", "all": True, "dryrun": True}),
            ("/v1/queue/control", [{"verb": "delete", "all": True}]),
            ("/v1/wave/command", {**WAVE, "member": ["bob@corp.example"]}),
            ("/v1/wave/command", {**WAVE, "members": []}),
            ("/v1/wave/command", {**WAVE, "members": None}),
            ("/v1/wave/command", {**WAVE, "members": {"bob@corp.example": True}}),
            ("/v1/wave/command", {**WAVE, "At": "2099-12-01T02:00:00Z"}),
            ("/v1/wave/command", {**WAVE, "at": 4099680000}),
            ("/v1/wave/command", {**WAVE, "at": ""}),
            ("/v1/wave/command", {**WAVE, "dry_run": True})):
        status, text = ask(gateway.socket, "POST", path, json.dumps(body))
        assert status == 400 and json.loads(text)["error"], (path, body, status, text)
    for body in ('{"verb":"delete","all":true,"dry_run":true,"dry_run":false}', '{"verb":"delete","all":true', "", "all=true"):
        assert ask(gateway.socket, "POST", "/v1/queue/control", body)[0] == 400, body
    assert state(gateway) == before


def test_reading_and_acting_are_different_paths_and_methods(gateway):
    before = state(gateway)
    for method, path, *_ in ROUTES:
        other = "POST" if method == "GET" else "GET"
        assert ask(gateway.socket, other, path, None if other == "GET" else "{}")[0] == 405, path
    # The fields of an act stand in its body and nowhere else, those of a question in its query.
    act = json.dumps({"verb": "delete", "all": True})
    assert ask(gateway.socket, "POST", "/v1/queue/control?dry_run=true", act)[0] == 400
    assert ask(gateway.socket, "GET", "/v1/queue/list", act)[0] == 413
    assert state(gateway) == before


def test_over_tcp_no_body_is_read(gateway):
    for request, status in (("POST /v1/queue/control", b"403"), ("POST /metrics", b"405"), ("GET /healthz", b"413")):
        with socket.create_connection(("127.0.0.1", gateway.http_port), timeout=10) as tcp:
            tcp.sendall(f"{request} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n".encode())
            assert tcp.recv(4096).startswith(b"HTTP/1.1 " + status), request


def test_many_connections_keep_nobody_from_health_and_memory_bounded(gateway):
    held = []
    try:
        for _ in range(600):
            tcp = socket.create_connection(("127.0.0.1", gateway.http_port), timeout=10)
            tcp.sendall(b"POST /metrics HTTP/1.1\r\nX: " + b"x" * 4000)  # a head without an end
            held.append(tcp)
        assert gateway.get("/healthz")[0] == 200
        # A connection that was sent away ends; those that are left are no more than the limit.
        open_ones = 0
        for tcp in held[:400]:
            try:
                open_ones += 0 if tcp.recv(1) == b"" else 1
            except ConnectionError:
                pass
        assert open_ones == 0
    finally:
        for tcp in held:
            tcp.close()
