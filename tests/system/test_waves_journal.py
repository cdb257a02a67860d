"""The waves' journal: what was acknowledged is never silently lost, and what fell due in the meantime is told."""

import datetime
import json

import pytest

from conftest import message, wait_for
from test_waves import rows, send, start, wave, wave_json


def journal_of(gateway):
    return gateway.directory / "spool" / "waves.journal"


def ready(gateway):
    status, text = gateway.get("/readyz")
    return status, json.loads(text)


def cut_the_middle(path):
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + lines[2])


def change_one_letter(path):
    path.write_text(path.read_text().replace("rollback", "rollbakk"))


def change_the_wave(path):
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + lines[1].replace("wave-3", "wave-4") + lines[2])


def cut_the_end(path):
    path.write_text(path.read_text()[:-30])


@pytest.mark.parametrize("damage", [cut_the_middle, change_one_letter, change_the_wave, cut_the_end,
                                    lambda path: path.unlink(), lambda path: path.write_text("")],
                         ids=["cut", "letter", "wave", "end", "removed", "emptied"])
def test_damage_routes_nobody_of_a_wave(world, damage):
    gateway, workmail, old = start(world, [*rows(), ("joe2@corp.example", "joe2@orgname.awsapps.com", "", "")])
    for verb in ["activate", "rollback", "hold"]:
        wave(gateway, verb, "wave-3")
    gateway.stop()
    damage(journal_of(gateway))
    gateway.start(ready=False)
    wait_for(lambda: gateway.run("wave", "list").returncode == 0, "the admin API")
    status, answer = ready(gateway)
    assert status == 503 and "waves.journal" in answer["why"] and "accept-journal" in answer["why"], answer
    exchange = world.exchange()
    sent = exchange.send("ann@ext.example", ["bob@corp.example", "joe2@corp.example"], message("bob"))
    assert sent.recipients["bob@corp.example"].code == 451, sent
    workmail.wait_messages(1)  # who is of no wave is not concerned
    assert workmail.addresses() == ["joe2@orgname.awsapps.com"] and not old.records()
    assert "accept-journal" in wave(gateway, "activate", "wave-3", code=74)
    assert "waves.journal" in wave(gateway, "list")
    assert "waves.journal" in gateway.run("check").stderr

    # It stays so over a restart, until somebody says what to do.
    gateway.stop()
    gateway.start(ready=False)
    wait_for(lambda: gateway.run("wave", "list").returncode == 0, "the admin API")
    assert ready(gateway)[0] == 503
    said = wave(gateway, "accept-journal")
    assert "are taken for all that was said" in said, said
    assert ready(gateway)[0] == 200
    # Without its end the last word that can be read is the rollback already.
    wave(gateway, "rollback", "wave-3", code=1 if damage is cut_the_end else 0)
    send(world, "bob")
    old.wait_messages(1)
    gateway.kill()
    gateway.start()
    assert gateway.explain("bob@corp.example")["state"] == "rolled_back"
    assert "is whole" in wave(gateway, "accept-journal", code=1)


def test_a_new_installation_and_one_without_commands_start_as_usual(world):
    gateway, _, _ = start(world, rows())
    assert ready(gateway)[0] == 200
    gateway.kill()
    gateway.start()
    assert ready(gateway)[0] == 200 and not journal_of(gateway).exists()


def test_a_spool_with_history_but_without_any_trace_of_the_journal_is_damage(world):
    gateway, _, _ = start(world, rows())
    wave(gateway, "activate", "wave-3")
    gateway.stop()
    for name in ["waves.journal", "waves.journal.mark"]:
        (gateway.directory / "spool" / name).unlink()
    gateway.start(ready=False)
    wait_for(lambda: gateway.run("wave", "list").returncode == 0, "the admin API")
    assert "in use" in ready(gateway)[1]["why"]


def test_neither_file_is_trusted_without_the_other(world):
    """Files of 0 octets or of NULs are what a power cut or a copy to a full disk leaves, often of both at once."""
    gateway, _, _ = start(world, rows())
    journal = journal_of(gateway)
    mark = journal.with_name("waves.journal.mark")
    wave(gateway, "activate", "wave-3")
    wave(gateway, "rollback", "wave-3")
    gateway.stop()
    whole, marked = journal.read_bytes(), mark.read_bytes()
    without_last = b"".join(whole.splitlines(keepends=True)[:-1])

    def why(journal_has, mark_has):
        for path, octets in [(journal, journal_has), (mark, mark_has)]:
            path.unlink(missing_ok=True)
            if octets is not None:
                path.write_bytes(octets)
        gateway.start(ready=False)
        wait_for(lambda: gateway.run("wave", "list").returncode == 0, "the admin API")
        status, answer = ready(gateway)
        state = gateway.explain("bob@corp.example")
        assert ("accept-journal" in gateway.run("check").stderr) == (status != 200)
        gateway.stop()
        if status == 200:
            assert state["state"] == "rolled_back", (journal_has, mark_has, state)
            return ""
        assert state["reply"].startswith("451"), state
        assert "waves.journal" in answer["why"] and "accept-journal" in answer["why"], answer
        return answer["why"]

    nothing = [b"", bytes(len(whole)), None]
    for mark_has in [b"", bytes(len(marked)), None]:
        for journal_has in [whole, without_last, *nothing]:
            assert why(journal_has, mark_has), (journal_has, mark_has)
    for journal_has in nothing:
        assert why(journal_has, marked), journal_has
    assert why(whole, marked) == ""
    assert why(whole + bytes(512), marked) == "", "what a power cut leaves behind the last line"


def test_a_torn_last_line_was_never_acknowledged(world):
    gateway, _, _ = start(world, rows())
    wave(gateway, "activate", "wave-3")
    gateway.stop()
    path = journal_of(gateway)
    whole = path.read_text()
    path.write_text(whole + whole[:50])
    gateway.start()
    assert gateway.explain("bob@corp.example")["state"] == "active"
    wave(gateway, "rollback", "wave-3")
    gateway.kill()
    gateway.start()
    assert gateway.explain("bob@corp.example")["state"] == "rolled_back"


def test_a_table_without_waves_does_not_ask_for_the_journal(world):
    gateway, workmail, _ = start(world, [("ida@corp.example", "ida@orgname.awsapps.com", "", "")])
    send(world, "ida")
    workmail.wait_messages(1)
    gateway.stop()
    (gateway.directory / "spool" / "waves.journal.mark").unlink(missing_ok=True)
    journal_of(gateway).unlink(missing_ok=True)
    gateway.start()
    assert ready(gateway)[0] == 200, "nobody is concerned"
    assert "451" not in gateway.run("status").stdout
    gateway.write_table([("ida@corp.example", "ida@orgname.awsapps.com", "", ""), *rows()])
    assert gateway.run("reload").returncode == 0
    status, answer = ready(gateway)
    assert status == 503 and "accept-journal" in answer["why"], answer
    wave(gateway, "accept-journal")
    assert ready(gateway)[0] == 200


def test_a_journal_of_the_old_form_is_taken_over(world):
    gateway, _, _ = start(world, rows())
    gateway.stop()
    (gateway.directory / "spool" / "waves.journal.mark").unlink()
    journal_of(gateway).write_text(
        '{"time":"2026-11-27T12:00:00.5Z","verb":"activate","wave":"wave-3","by":"root (uid 0)","people":3,"queued":0}\n'
        '{"time":"2026-11-27T12:00:01Z","verb":"rollback","wave":"wave-3","members":["eve@corp.example"],"by":"root (uid 0)",'
        '"people":1,"queued":0}\n')
    gateway.start()
    assert {w: gateway.explain(f"{w}@corp.example")["state"] for w in ["bob", "eve"]} == {
        "bob": "active", "eve": "rolled_back"}
    assert ready(gateway)[0] == 200


def test_what_fell_due_meanwhile_is_told_at_the_start(world):
    gateway, _, _ = start(world, rows())
    wave(gateway, "activate", "wave-3", "--at", "+2s")
    gateway.stop()
    due = wave_due(gateway)
    wait_for(lambda: due_is_over(due), "the schedule to fall due")
    gateway.start()
    told = gateway.wait_event("control", action="wave schedule")
    assert "is active now" in told[0]["why"], told
    assert "is active now, as scheduled" in gateway.log_file.read_text()
    gateway.stop()
    gateway.start()
    assert len([e for e in gateway.events("control") if e["action"] == "wave schedule"]) == 1, "told once"
    assert wave_json(gateway, "list")[0]["state"] == "active"


def test_what_is_said_while_the_table_is_lost_is_weighed_by_what_was_said_before(world):
    gateway, _, _ = start(world, rows())
    wave(gateway, "activate", "wave-3")
    wave(gateway, "hold", "wave-3", "--at", "2099-01-01 02:00 UTC")
    wave(gateway, "rollback", "wave-3", "--member", "eve@corp.example")
    gateway.stop()
    good = gateway.table_file.read_text()
    gateway.table_file.write_text("address,target\nbob@corp.example,not an address\n")
    gateway.start(ready=False)
    wait_for(lambda: gateway.process.check_alive() and gateway.get("/readyz")[0] == 503, "/readyz to be red")
    assert "active" in wave(gateway, "list")
    assert "dropped" in wave(gateway, "cancel", "wave-3")
    wave(gateway, "reset", "wave-3", "--member", "eve@corp.example")
    gateway.table_file.write_text(good)
    assert gateway.run("reload").returncode == 0
    assert {w: gateway.explain(f"{w}@corp.example")["state"] for w in ["bob", "eve"]} == {
        "bob": "active", "eve": "active"}, "a cancel drops what is to come, no more"


def wave_due(gateway):
    return json.loads(journal_of(gateway).read_text().splitlines()[-1])["at"]


def due_is_over(due):
    return datetime.datetime.now(datetime.timezone.utc) > datetime.datetime.fromisoformat(due.replace("Z", "+00:00"))
