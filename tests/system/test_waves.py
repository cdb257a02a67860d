"""Waves in a running gateway: planned, held, activated, rolled back, scheduled, and kept over a restart."""

import json

from conftest import message, wait_for

PEOPLE = ["bob", "eve", "joe"]


def rows(wave="wave-3", people=PEOPLE, state=""):
    return [(f"{who}@corp.example", f"{who}@orgname.awsapps.com", state, wave) for who in people]


def start(world, table, **routing):
    """A gateway whose people are still on `old` until their wave is active."""
    workmail, old = world.sink(), world.sink("old", name="old.local", tls=False)
    gateway = world.gateway(workmail, start=False)
    gateway.route(old, "unused.example", "old")
    gateway.config["routing"] |= {"pending_next_hop": "old", **routing}
    gateway.write_table(table)
    gateway.start()
    return gateway, workmail, old


def wave(gateway, *arguments, code=0):
    done = gateway.run("wave", *arguments)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done.stdout if code in (0, 1) else done.stderr


def wave_json(gateway, *arguments):
    return [json.loads(line) for line in gateway.run("wave", *arguments, "--json").stdout.splitlines()]


def send(world, who):
    sent = world.exchange().send("ann@ext.example", [f"{who}@corp.example"], message(who))
    assert sent.accepted, sent
    return sent


def test_a_night_of_moving(world):
    gateway, workmail, old = start(world, [*rows(), *rows("wave-4", ["zoe"])])
    send(world, "bob")
    old.wait_messages(1)
    assert old.addresses() == ["bob@corp.example"] and not workmail.records()

    assert "3 pending -> migrating" in wave(gateway, "plan", "wave-3", "hold")
    wave(gateway, "hold", "wave-3", "--reason", "the night has come")
    send(world, "bob")
    send(world, "eve")
    wait_for(lambda: gateway.status()["queue"]["held"] == 2, lambda: f"two held: {gateway.status()['queue']}")
    plan = wave(gateway, "plan", "wave-3", "activate")
    assert "3 migrating -> active" in plan and "2 recipients in 2 messages: 2 held" in plan, plan

    said = wave(gateway, "activate", "wave-3")
    assert "migrating -> active, 3 people; queued: 2 recipients" in said, said
    workmail.wait_messages(2)
    gateway.wait_empty()
    assert sorted(workmail.addresses()) == ["bob@orgname.awsapps.com", "eve@orgname.awsapps.com"]

    # The word of an operator outlives the process.
    gateway.kill()
    gateway.start()
    assert gateway.explain("joe@corp.example")["state"] == "active"
    assert gateway.explain("zoe@corp.example")["state"] == "pending"
    history = json.loads(gateway.run("wave", "show", "wave-3", "--json").stdout)["history"]
    assert [(h["verb"], h["people"], h.get("reason", "")) for h in history] == [
        ("hold", 3, "the night has come"), ("activate", 3, "")]
    assert all(h["by"] for h in history)
    assert {e["action"] for e in gateway.events("control")} >= {"wave hold", "wave activate"}
    shown = wave(gateway, "show", "wave-3")
    assert "state       active" in shown and "the night has come" in shown, shown


def test_rolled_back_mail_goes_where_it_went_before(world):
    gateway, workmail, old = start(world, rows())
    wave(gateway, "activate", "wave-3")
    workmail.stop()  # it can't be delivered, so it waits
    send(world, "bob")
    gateway.wait_event("deferred")
    wave(gateway, "hold", "wave-3")
    send(world, "eve")
    wait_for(lambda: gateway.status()["queue"]["held"] == 2, lambda: f"both held: {gateway.status()['queue']}")
    wave(gateway, "rollback", "wave-3")
    old.wait_messages(2)
    gateway.wait_empty()
    assert sorted(old.addresses()) == ["bob@corp.example", "eve@corp.example"]


def test_one_person_may_be_an_exception(world):
    gateway, workmail, old = start(world, rows())
    wave(gateway, "activate", "wave-3")
    wave(gateway, "rollback", "wave-3", "--member", "Eve@CORP.example", "--reason", "her phone")
    send(world, "eve")
    send(world, "bob")
    old.wait_messages(1)
    workmail.wait_messages(1)
    assert old.addresses() == ["eve@corp.example"] and workmail.addresses() == ["bob@orgname.awsapps.com"]
    assert "by name" in wave(gateway, "show", "wave-3")
    states = {m["address"]: m["state"] for m in wave_json(gateway, "members", "wave-3")}
    assert states == {"bob@corp.example": "active", "eve@corp.example": "rolled_back", "joe@corp.example": "active"}
    assert "not of 'wave-3'" not in wave(gateway, "activate", "wave-3", "--member", "eve@corp.example")
    assert "is not in the table" in wave(gateway, "hold", "wave-3", "--member", "nobody@corp.example", code=64)


def test_a_schedule_takes_effect_by_itself(world):
    gateway, workmail, _ = start(world, rows())
    wave(gateway, "hold", "wave-3")
    send(world, "bob")
    wait_for(lambda: gateway.status()["queue"]["held"] == 1, "bob's mail to be held")
    said = wave(gateway, "activate", "wave-3", "--at", "+3s")
    assert "until then migrating" in said, said
    assert wave_json(gateway, "list")[0]["next"]["to"] == "active"
    assert gateway.run("route", "explain", "bob@corp.example", "--at", "+1h").stdout.find("rewrite") > 0
    workmail.wait_messages(1)  # nobody says anything more
    gateway.wait_empty()
    assert any(e["action"] == "wave schedule" for e in gateway.events("control"))

    wave(gateway, "rollback", "wave-3", "--at", "2099-12-01 02:00 Europe/Berlin")
    assert wave_json(gateway, "list")[0]["next"]["at"] == "2099-12-01T01:00:00Z"
    wave(gateway, "cancel", "wave-3")
    assert "next" not in wave_json(gateway, "list")[0]


def test_schedule_and_members_of_the_configuration(world):
    members = world.directory / "wave-9.txt"
    members.write_text("# the pilots\nbob@corp.example\nEVE@corp.example\n")
    gateway, _, _ = start(world, rows(""))
    gateway.config["waves"] = {"wave-9": {"members": str(members), "hold_at": "2020-01-01T00:00:00Z",
                                          "at": "2099-01-01T00:00:00Z", "shadow": False}}
    gateway.write_config()
    assert gateway.run("reload").returncode == 0
    assert {a: gateway.explain(f"{a}@corp.example").get("state") for a in PEOPLE} == {
        "bob": "migrating", "eve": "migrating", "joe": "active"}
    explained = gateway.explain("bob@corp.example")
    assert explained["next_change"] == {"at": "2099-01-01T00:00:00Z", "to": "active"}


def test_shadow_mode_logs_the_new_route_and_uses_the_old_one(world):
    gateway, workmail, old = start(world, rows())
    wave(gateway, "shadow", "wave-3")
    send(world, "bob")
    old.wait_messages(1)
    assert not workmail.records()
    routed = gateway.wait_event("routed")[0]
    assert routed["next_hop"] == "old" and routed["shadow_next_hop"] == "workmail"
    assert routed["shadow_target"] == "bob@orgname.awsapps.com"
    assert "shadow" in wave(gateway, "list")


def test_mistakes_are_named(world):
    gateway, _, _ = start(world, rows())
    assert "there is no wave 'wav-3'; there are: wave-3" in wave(gateway, "activate", "wav-3", code=64)
    assert "is over" in wave(gateway, "activate", "wave-3", "--at", "2001-01-01T00:00:00Z", code=64)
    wave(gateway, "activate", "wave-3", "--at", "soon", code=64)
    assert gateway.explain("bob@corp.example")["state"] == "pending"
    assert gateway.run("wave", "plan", "wave-3", "reset").returncode == 1  # nothing would change


def test_a_wave_that_nobody_is_in_is_named_and_not_moved(world):
    gateway, _, _ = start(world, [*rows("wave-3"), *rows("wave-4", ["zoe"])])
    gateway.config["waves"] = {"wave-2": {"hold_at": "2027-12-01T01:00:00Z", "at": "2027-12-01T02:00:00Z"}, "wave-4": {"shadow": True}}
    gateway.write_config()
    nobody = "nobody is in wave 'wave-2'; there are: wave-3, wave-4"
    for command in (["check"], ["reload"]):
        answer = gateway.run(*command)
        assert answer.returncode == 0 and answer.stderr.count("nobody is in wave") == 1 and f"warning: {nobody}" in answer.stderr, answer
    for verb in ("activate", "hold"):
        assert f"nothing changed: {nobody}" in wave(gateway, verb, "wave-2", code=1)
    assert f"nothing changed: {nobody}" in wave(gateway, "activate", "wave-2", "--at", "+2h", code=1)
    assert wave_json(gateway, "show", "wave-2")[0]["state"] == "pending"
    # What was said of it by mistake can be taken back.
    wave(gateway, "cancel", "wave-2")


def test_the_plan_names_conflicts(world):
    gateway, _, _ = start(world, [*rows(), ("kim@corp.example", "kim@orgname.awsapps.com", "rolled_back", "wave-3"),
                                  ("robert@corp.example", "bob@orgname.awsapps.com", "", "wave-4")])
    plan = json.loads(gateway.run("wave", "plan", "wave-3", "activate", "--json").stdout)
    assert plan["people"] == 4 and plan["changed"] == 3
    assert any("kim@corp.example" in c and "state of its own" in c for c in plan["conflicts"]), plan
    assert any("robert@corp.example" in c and "same person" in c for c in plan["conflicts"]), plan


def test_a_member_is_a_person_with_all_addresses(world):
    table = [*rows(people=["bob", "joe"]), ("robert@corp.example", "bob@orgname.awsapps.com", "", "wave-3")]
    gateway, workmail, old = start(world, table)
    listed = wave(gateway, "list")
    assert "2 (3)" in listed and "PEOPLE (ADDR)" in listed, listed
    assert "3 addresses of 2 people" in wave(gateway, "activate", "wave-3")
    plan = wave(gateway, "plan", "wave-3", "rollback", "--member", "bob@corp.example")
    assert "2 addresses of 1 person, of whom 1 would change" in plan, plan
    said = wave(gateway, "rollback", "wave-3", "--member", "robert@corp.example")
    assert "2 addresses of 1 person by name" in said, said
    for address in ["bob@corp.example", "robert@corp.example"]:
        assert f"  {address}: active -> rolled_back, now to old" in said, said
    send(world, "bob")
    old.wait_messages(1)
    members = wave(gateway, "members", "wave-3").splitlines()
    assert [line.split()[:3] for line in members[1:4]] == [
        ["bob@corp.example", "rolled_back*", "old"], ["robert@corp.example", "rolled_back*", "old"],
        ["joe@corp.example", "active", "workmail"]], members
    assert "1+1* (3)" in wave(gateway, "list")
    shown = wave(gateway, "show", "wave-3")
    assert "bob@corp.example, robert@corp.example" in shown.splitlines()[-1], shown
    history = shown[shown.index("history"):].splitlines()[1:]
    assert all(line[2:5] in "Mon Tue Wed Thu Fri Sat Sun" for line in history), shown
    # Said already; then one address alone.
    said = wave(gateway, "rollback", "wave-3", "--member", "bob@corp.example", code=1)
    assert "nothing changed" in said, said
    wave(gateway, "reset", "wave-3", "--member", "bob@corp.example", "--address-only")
    states = {m["address"]: m["state"] for m in wave_json(gateway, "members", "wave-3")}
    assert states == {"bob@corp.example": "active", "robert@corp.example": "rolled_back", "joe@corp.example": "active"}


def test_a_person_is_one_however_the_target_is_spelled(world):
    table = [("zed@corp.example", "a@orgname.awsapps.com", "", "wave-3"), ("bob@corp.example", "b@orgname.awsapps.com", "", "wave-3"),
             ("amy@corp.example", "A@OrgName.awsapps.com", "", "wave-3")]
    gateway = start(world, table)[0]
    assert "3 addresses of 2 people" in wave(gateway, "show", "wave-3")
    members = wave(gateway, "members", "wave-3").splitlines()
    assert members[-1].startswith("3 addresses of 2 people"), members
    assert [line.split()[0] for line in members[1:4]] == ["amy@corp.example", "zed@corp.example", "bob@corp.example"], members
    assert len({one["person"] for one in wave_json(gateway, "members", "wave-3")}) == 2


def test_what_changes_nothing_says_so(world):
    gateway, _, _ = start(world, rows())
    assert "nothing is scheduled" in wave(gateway, "cancel", "wave-3", code=1)
    wave(gateway, "activate", "wave-3")
    wave(gateway, "rollback", "wave-3", "--member", "eve@corp.example")
    said = wave(gateway, "activate", "wave-3", code=1)
    assert "nothing changed: wave 'wave-3' is active already" in said, said
    assert "eve@corp.example stays rolled_back: by an operator's word" in said, said
    assert "wave 'wave-3' is active" in wave(gateway, "shadow", "wave-3", code=64)
    assert "not in shadow mode" in wave(gateway, "unshadow", "wave-3", code=1)
    history = json.loads(gateway.run("wave", "show", "wave-3", "--json").stdout)["history"]
    assert [h["verb"] for h in history] == ["activate", "rollback"], "what changed nothing is not kept"


def test_all_that_is_scheduled_is_told_and_what_is_dropped(world):
    gateway, _, _ = start(world, rows())
    said = wave(gateway, "hold", "wave-3", "--at", "2099-12-01 02:00 Europe/Berlin")
    assert "at 2099-12-01 02:00 Europe/Berlin (01:00 UTC), in " in said, said
    wave(gateway, "activate", "wave-3", "--at", "2099-12-01T05:00:00Z")
    wave(gateway, "hold", "wave-3", "--at", "2099-12-02T05:00:00Z")
    listed, shown = wave(gateway, "list"), wave(gateway, "show", "wave-3")
    assert listed.count("2099") == 3, listed
    assert shown[:shown.index("history")].count("2099") == 3, shown
    assert "its time zone is missing" in wave(gateway, "hold", "wave-3", "--at", "2099-12-01 02:00", code=64)
    said = wave(gateway, "rollback", "wave-3")
    assert said.count("dropped") == 1 and said.count("2099") == 3, said
    assert "NEXT" in wave(gateway, "list") and "2099" not in wave(gateway, "list")


def test_a_new_time_in_the_configuration_is_a_new_schedule(world):
    gateway, _, _ = start(world, rows())
    gateway.config["waves"] = {"wave-3": {"at": "2099-01-01T00:00:00Z"}}
    gateway.write_config()
    assert gateway.run("reload").returncode == 0
    assert "dropped   active from" in wave(gateway, "rollback", "wave-3")
    assert "has no effect" in gateway.run("check").stderr
    assert "has no effect" in wave(gateway, "list")
    gateway.config["waves"] = {"wave-3": {"at": "2099-02-02T00:00:00Z"}}
    gateway.write_config()
    done = gateway.run("reload")
    assert done.returncode == 0 and "no effect" not in done.stdout + done.stderr, done
    assert wave_json(gateway, "list")[0]["next"]["at"] == "2099-02-02T00:00:00Z"
    gateway.kill()
    gateway.start()
    assert wave_json(gateway, "list")[0]["next"]["at"] == "2099-02-02T00:00:00Z"
    # A time that is over moves people at once: the reload and the check say so.
    gateway.config["waves"] = {"wave-3": {"at": "2020-01-01T00:00:00Z"}}
    gateway.write_config()
    assert "is over" in gateway.run("reload").stderr
    assert "is over" in gateway.run("check").stderr
    assert gateway.explain("bob@corp.example")["state"] == "rolled_back", "the word is the later one"


def test_a_persons_word_survives_another_name_of_the_wave(world):
    gateway, _, _ = start(world, rows())
    wave(gateway, "activate", "wave-3")
    wave(gateway, "rollback", "wave-3", "--member", "eve@corp.example")
    gateway.write_table(rows("wave-33"))
    warned = gateway.run("reload").stderr
    assert "eve@corp.example" in warned and "stays rolled_back" in warned, warned
    said = wave(gateway, "activate", "wave-33")
    assert "eve@corp.example stays rolled_back" in said, said
    assert gateway.explain("eve@corp.example")["state"] == "rolled_back"
    assert gateway.explain("bob@corp.example")["state"] == "active"
    wave(gateway, "reset", "wave-33", "--member", "eve@corp.example")
    assert gateway.explain("eve@corp.example")["state"] == "active"


def test_a_hold_tells_when_held_mail_goes_back(world):
    gateway, _, _ = start(world, rows())
    plan = wave(gateway, "plan", "wave-3", "hold")
    assert "held mail goes back to its sender 2 d after it was accepted" in plan, plan
    assert "a sender is told of the delay after 4 h" in plan, plan
    wave(gateway, "hold", "wave-3")
    assert "held mail goes back" in wave(gateway, "show", "wave-3")
    assert "clocks" not in wave(gateway, "plan", "wave-3", "activate")


def test_people_are_read_from_standard_input(world):
    gateway, _, _ = start(world, rows())
    addresses = "bob@corp.example\neve@corp.example\n"
    for verb, state in (("hold", "migrating"), ("activate", "active"), ("rollback", "rolled_back")):
        planned = gateway.run("wave", "plan", "wave-3", verb, "--member", "-", input=addresses)
        assert planned.returncode == 0 and "2 people" in planned.stdout, planned
        done = gateway.run("wave", verb, "wave-3", "--member", "-", input=addresses)
        assert done.returncode == 0 and "2 people by name" in done.stdout, done
        shown = {one["address"]: one["state"] for one in wave_json(gateway, "members", "wave-3")}
        assert shown == {"bob@corp.example": state, "eve@corp.example": state, "joe@corp.example": "pending"}
    done = gateway.run("wave", "reset", "wave-3", "--member", "-", input="")
    assert done.returncode == 64 and "standard input has no address; nothing was done" in done.stderr, done
    done = gateway.run("wave", "reset", "wave-3", "--member", "-", "--address-only", input="x\n")
    assert done.returncode == 64 and "'address_only' is not known" not in done.stderr, done


def test_a_group_of_any_size_is_planned(world):
    people = [f"somebody.with.a.long.name.{number:05d}" for number in range(6000)]
    gateway, _, _ = start(world, rows(people=people))
    addresses = "".join(f"{who}@corp.example\n" for who in people)
    planned = gateway.run("wave", "plan", "wave-3", "activate", "--member", "-", input=addresses)
    assert planned.returncode == 0 and "6000 people" in planned.stdout.replace(",", ""), planned.stdout[:300] + planned.stderr


def test_an_address_that_comes_later_goes_with_its_person(world):
    table = [*rows(), ("bobby@corp.example", "bob@orgname.awsapps.com", "", "wave-3")]
    gateway, workmail, old = start(world, table)
    wave(gateway, "activate", "wave-3")
    wave(gateway, "rollback", "wave-3", "--member", "bob@corp.example")
    gateway.write_table([*table, ("robert@corp.example", "bob@orgname.awsapps.com", "", "wave-3")])
    for told in (gateway.run("check"), gateway.run("reload")):
        assert "'robert@corp.example'" in told.stderr and "is rolled_back: it has the same target as 'bob@corp.example'" in told.stderr, told
    send(world, "robert")
    old.wait_messages(1)
    # A change of name, and another person who gets the old alias.
    gateway.write_table([("miller@corp.example", "bob@orgname.awsapps.com", "", "wave-3"), *rows(people=["eve", "joe"]),
                         ("bobby@corp.example", "eve@orgname.awsapps.com", "", "wave-3")])
    assert gateway.run("reload", "--confirm-shrink").returncode == 0
    gateway.kill()
    gateway.start()
    states = {one["address"]: one["state"] for one in wave_json(gateway, "members", "wave-3")}
    assert states == {"miller@corp.example": "rolled_back", "bobby@corp.example": "rolled_back",
                      "eve@corp.example": "active", "joe@corp.example": "active"}
    told = gateway.run("check").stderr
    assert "'bobby@corp.example'" in told and "has the target 'eve@orgname.awsapps.com' now and stays rolled_back" in told, told
    assert "waypost wave reset wave-3 --member bobby@corp.example --address-only" in told, told
    assert told.replace("warning: ", "").split("'bobby@corp.example'")[1].split("\n")[0] in gateway.log_file.read_text()
    assert "bobby@corp.example: rolled_back -> active" in wave(gateway, "reset", "wave-3", "--member", "bobby@corp.example", "--address-only")
    # Said once more, of the address of today.
    assert "miller@corp.example: rolled_back -> rolled_back" in wave(gateway, "rollback", "wave-3", "--member", "miller@corp.example")
    told = gateway.run("check").stderr
    assert "miller" not in told and "bobby" not in told, told
    # Taken back by the old address, which is in no table any more.
    assert "miller@corp.example: rolled_back -> active" in wave(gateway, "reset", "wave-3", "--member", "bob@corp.example")
    assert not workmail.records()


def test_a_scheduled_command_says_who_stays(world):
    gateway, _, _ = start(world, [*rows(), *rows(people=["zoe"], state="pending")])
    then = "2037-01-01 02:00 UTC"
    told = wave(gateway, "activate", "wave-3", "--at", then)
    assert "zoe@corp.example stays pending: its source gives it a state of its own" in told and "bob" not in told, told
    told = wave(gateway, "activate", "wave-3", "--at", then, code=1)
    assert "nothing changed: wave 'wave-3' becomes active at 2037-01-01T02:00:00Z already" in told, told
