"""Tables, members files and exports that somebody is still writing: nobody's mail goes another way because of them."""

import json

import pytest
from conftest import message, wait_for

WAVES = {"wave-1": {"state": "active"}, "wave-12": {"state": "pending"}}


def two_systems(world, rows=None, members=None):
    """(gateway, workmail, exchange): pending people's mail goes to exchange."""
    workmail, exchange = world.sink(), world.sink("ex", name="ex.local", tls=False)
    gateway = world.gateway(workmail, start=False)
    gateway.route(exchange, "ex.example", "exchange")
    gateway.config["routing"]["pending_next_hop"] = "exchange"
    gateway.config["waves"] = {name: dict(about) for name, about in WAVES.items()}
    if members is not None:
        gateway.config["waves"]["wave-12"]["members"] = str(members)
    gateway.write_table(rows or [])
    return gateway, workmail, exchange


def next_hop_of(gateway, name):
    return gateway.explain(f"{name}@corp.example").get("next_hop")


def people(count, *rest):
    return [(f"u{n}@corp.example", f"u{n}@orgname.awsapps.com", *rest) for n in range(count)]


def refused(gateway, *words):
    answer = gateway.run("reload")
    assert answer.returncode == 1, answer.stdout
    for word in words:
        assert word in answer.stdout, answer.stdout


def test_a_table_that_ends_in_the_middle_of_a_line_is_refused(world):
    gateway, _, _ = two_systems(world, [*people(20, "", "wave-1"), ("eve@corp.example", "eve@orgname.awsapps.com", "", "wave-12")])
    gateway.start()
    assert next_hop_of(gateway, "eve") == "exchange"
    whole = gateway.table_file.read_bytes()
    for cut in range(1, len(b"orgname.awsapps.com,,wave-12\n") + 1):
        gateway.table_file.write_bytes(whole[:-cut])
        refused(gateway, "the file ends in the middle of a line: still being written?")
        assert next_hop_of(gateway, "eve") == "exchange", whole[-cut - 20:-cut]
    # Somebody has ended the line that was cut: its row is shorter than the header.
    gateway.table_file.write_bytes(whole[:-len(b",wave-12\n")] + b"\n")
    refused(gateway, "the row has 3 columns, the header row 4")
    assert next_hop_of(gateway, "eve") == "exchange"


def test_a_members_file_that_was_cut_or_emptied_makes_nobody_active(world):
    members = world.directory / "wave-12.txt"
    addresses = [f"u{n}@corp.example\n" for n in range(100)]
    members.write_text("".join(addresses))
    gateway, workmail, exchange = two_systems(world, people(100), members)
    gateway.start()
    assert next_hop_of(gateway, "u99") == "exchange"
    for kept in (99, 92, 50):
        members.write_text("".join(addresses[:kept]))
        refused(gateway, "active because nothing says any more which wave or state", f"u{kept}@corp.example, pending until now")
    members.write_text("".join(addresses)[:-5])
    refused(gateway, "the file ends in the middle of a line")
    for nothing in ("", "\n", "# nobody\n"):
        members.write_text(nothing)
        refused(gateway, "nobody is in this members file of wave 'wave-12'")
    members.write_text("somebody.else@corp.example\n")
    refused(gateway, "wave 'wave-12' is suddenly empty")
    gateway.config["waves"]["wave-12"].pop("members")
    gateway.write_config()
    refused(gateway, "active because nothing says any more")
    assert next_hop_of(gateway, "u99") == "exchange"
    assert world.exchange().send("ann@ext.example", ["u99@corp.example"], message()).accepted
    gateway.wait_empty()
    assert exchange.addresses() == ["u99@corp.example"] and not workmail.addresses()


@pytest.mark.parametrize("kept", [0, 50, 97])
def test_nor_does_it_at_a_restart(world, kept):
    members = world.directory / "wave-12.txt"
    addresses = [f"u{n}@corp.example\n" for n in range(100)]
    members.write_text("".join(addresses))
    gateway, _, _ = two_systems(world, people(100), members)
    gateway.start()
    gateway.stop()
    members.write_text("".join(addresses[:kept]))
    gateway.start(ready=False)
    wait_for(lambda: gateway.process.check_alive() and gateway.get("/readyz")[0] == 503, "/readyz to be red")
    sent = world.exchange().send("ann@ext.example", ["u99@corp.example"], message())
    assert sent.recipients["u99@corp.example"].code == 451
    members.write_text("".join(addresses))
    assert gateway.run("reload").returncode == 0
    assert gateway.get("/readyz")[0] == 200
    assert next_hop_of(gateway, "u99") == "exchange"


def test_a_wave_column_that_is_gone_at_a_restart_is_noticed_and_can_be_confirmed(world):
    gateway, _, _ = two_systems(world, people(5, "", "wave-12"))
    gateway.start()
    gateway.stop()
    gateway.write_table(people(5))
    gateway.start(ready=False)
    wait_for(lambda: gateway.process.check_alive() and gateway.get("/readyz")[0] == 503, "/readyz to be red")
    refused(gateway, "5 entries would be active", "--confirm-shrink")
    assert gateway.run("reload", "--confirm-shrink").returncode == 0
    assert next_hop_of(gateway, "u1") == "workmail"
    # What was confirmed is what counts from then on.
    gateway.stop()
    gateway.start()


def damaged(text):
    """What a power cut, a full disk or a hand makes of the file."""
    return {"empty": "", "NUL": "\0" * len(text), "cut": text[:-20], "braces": "{}", "words": "hello", "counts": text.replace("60", "10")}


@pytest.mark.parametrize("kind", [*damaged(""), "folder", "gone"])
def test_a_table_that_can_not_be_compared_with_the_last_one_is_confirmed_first(world, kind):
    gateway, _, _ = two_systems(world, people(60, "", "wave-12"))
    gateway.start()
    gateway.stop()
    size = gateway.spool_directory / "table-size.json"
    text = size.read_text()
    if kind in ("folder", "gone"):
        size.unlink()
    if kind == "folder":
        size.mkdir()
    elif kind != "gone":
        size.write_text(damaged(text)[kind])
    gateway.write_table(people(60))
    for command, code in ((["check"], 1), (["table", "check"], 2)):
        answer = gateway.run(*command)
        assert answer.returncode == code and "table-size.json" in answer.stderr and "good" not in answer.stdout, answer
    gateway.start(ready=False)
    wait_for(lambda: gateway.process.check_alive() and gateway.get("/readyz")[0] == 503, "/readyz to be red")
    assert "table-size.json" in gateway.get("/readyz")[1] and "--confirm-shrink" in gateway.get("/readyz")[1]
    assert world.exchange().send("ann@ext.example", ["u1@corp.example"], message()).recipients["u1@corp.example"].code == 451
    refused(gateway, "nobody can say whether the table has shrunk", "--confirm-shrink")
    gateway.write_table(people(60, "", "wave-12"))
    assert gateway.run("reload", "--confirm-shrink").returncode == 0
    assert next_hop_of(gateway, "u1") == "exchange" and gateway.get("/readyz")[0] == 200
    if kind != "folder":
        gateway.stop()
        gateway.start()


def test_a_size_of_the_table_that_is_gone_with_its_mark_is_told_until_somebody_has_looked(world):
    gateway, _, _ = two_systems(world, people(20))
    gateway.start()
    assert not json.loads(gateway.get("/readyz")[1])["warnings"], "a new spool has nothing to compare with"
    gateway.stop()
    (gateway.spool_directory / "table-size.json").unlink()
    (gateway.spool_directory / "table-size.json.mark").unlink()
    gateway.start()
    assert "table-size.json is gone" in json.loads(gateway.get("/readyz")[1])["warnings"][0]
    assert gateway.run("reload").returncode == 0
    assert not json.loads(gateway.get("/readyz")[1])["warnings"]


def test_a_table_that_was_never_good_is_not_missed(world):
    gateway, _, _ = two_systems(world)
    gateway.table_file.write_text("broken\n")
    gateway.start(ready=False)
    wait_for(lambda: gateway.process.check_alive() and gateway.get("/readyz")[0] == 503, "/readyz to be red")
    gateway.stop()
    gateway.write_table(people(20))
    gateway.start()
    assert not json.loads(gateway.get("/readyz")[1])["warnings"]


def test_check_says_what_the_next_reload_or_restart_would_refuse(world):
    gateway, _, _ = two_systems(world, people(5, "", "wave-12"))
    gateway.start()
    for command in (["check"], ["table", "check"]):
        assert gateway.run(*command).returncode == 0
    rows = people(5, "", "wave-12")
    gateway.write_table([rows[0][:2], *rows[1:]])
    for command, code in ((["check"], 1), (["table", "check"], 2)):
        answer = gateway.run(*command)
        assert answer.returncode == code, answer
        assert "1 entry would be active because nothing says any more which wave or state it has" in answer.stderr, answer
        assert "every address gets 451 4.3.0" in answer.stderr and "--confirm-shrink" in answer.stderr, answer
    assert json.loads(gateway.run("table", "check", "--json").stdout)["usable"] is False
    # A part of the table, given by hand, is not compared.
    assert gateway.run("table", "check", str(gateway.table_file)).returncode == 0
    refused(gateway, "1 entry would be active")
    gateway.stop()
    gateway.start(ready=False)
    wait_for(lambda: gateway.process.check_alive() and gateway.get("/readyz")[0] == 503, "/readyz to be red")


def test_many_other_waves_or_states_are_confirmed_first(world):
    gateway, _, _ = two_systems(world, people(60, "", "wave-12"))
    gateway.start()
    gateway.write_table(people(60, "rolled_back", "wave-12"))
    refused(gateway, "60 of 60 entries have another wave or state (100 %; routing.most_removed allows 10 %)")
    assert "60 of 60 entries have another wave or state" in gateway.run("table", "diff").stdout
    gateway.write_table([*people(55, "", "wave-12"), *[(a, t, "rolled_back", "wave-12") for a, t in people(60)[55:]]])
    assert gateway.run("reload").returncode == 0
    # A wave command is no change of a table.
    assert gateway.run("wave", "activate", "wave-12").returncode == 0
    assert gateway.run("reload").returncode == 0


def test_check_counts_states_and_tells_of_mail_without_a_place_to_wait(world):
    gateway, _, _ = two_systems(world, [*people(180, "", "wave-12"), ("ann@corp.example", "ann@orgname.awsapps.com")])
    gateway.write_config()
    for command in (["check"], ["table", "check"]):
        answer = gateway.run(*command)
        assert answer.stdout.splitlines()[-1] == "181 entries: 1 active, 180 pending (1 wave)", answer.stdout
        assert "pending_next_hop" not in answer.stdout + answer.stderr
    gateway.config["routing"].pop("pending_next_hop")
    gateway.write_config()
    for command in (["check"], ["table", "check"]):
        answer = gateway.run(*command)
        assert answer.returncode == 0
        assert "warning: 180 entries are pending or rolled back, and there is no routing.pending_next_hop" in answer.stderr, answer
