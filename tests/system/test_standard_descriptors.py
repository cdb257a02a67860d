"""Started without standard descriptors, no program writes its complaints into its own files."""

import os
import subprocess

import pytest
from conftest import message, wait_for
from rig.programs import program

CLOSINGS = {"in and err": "<&- 2>&-", "err": "2>&-", "all": "<&- >&- 2>&-", "out": ">&-"}
NUMBERS = {"<&-": 0, ">&-": 1, "2>&-": 2}


def start(arguments, closing):
    return subprocess.Popen(["bash", "-c", f'exec "$@" {closing}', "bash", *map(str, arguments)],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def stands_on_null(child, closing):
    return all(os.readlink(f"/proc/{child.pid}/fd/{NUMBERS[word]}") == "/dev/null" for word in closing.split())


@pytest.mark.parametrize("closing", CLOSINGS.values(), ids=CLOSINGS.keys())
def test_the_gateway_keeps_its_spool_clean(world, closing):
    workmail = world.sink()
    gateway = world.gateway(workmail, users=["bob"], start=False)
    gateway.config.pop("tracking")
    gateway.write_config()
    child = start([program("waypost"), "serve", "--config", gateway.config_file], closing)
    try:
        wait_for(lambda: gateway.get("/readyz")[0] == 200, "/readyz")
        assert stands_on_null(child, closing)
        assert world.exchange().send("ann@ext.example", ["bob@corp.example"], message()).accepted
        workmail.wait_messages(1)
        assert gateway.run("reload").returncode == 0
        assert stands_on_null(child, closing)
        for file in gateway.spool_directory.rglob("*"):
            assert not file.is_file() or b"listening on" not in file.read_bytes(), file
        verified = gateway.run("spool", "verify")
        assert verified.returncode == 0, verified.stdout
    finally:
        child.terminate()
        assert child.wait(60) == 0


def test_the_load_kit_keeps_its_records_clean(world):
    record = world.directory / "record.jsonl"
    child = start([program("waypost-load"), "sink", "--listen", "127.0.0.1:0", "--record", record, "--control",
                   world.directory / "control"], CLOSINGS["all"])
    try:
        wait_for((world.directory / "control").exists, "the control socket")
        assert stands_on_null(child, CLOSINGS["all"])
    finally:
        child.terminate()
        child.wait(60)


@pytest.mark.parametrize("arguments", [["check"], ["status"], ["spool", "verify"], ["version"]], ids="-".join)
def test_subcommands_answer_as_ever(world, arguments):
    gateway = world.gateway(world.sink(), users=["bob"])
    words = [*arguments, *([] if arguments == ["version"] else ["--config", str(gateway.config_file)])]
    expected = 0 if arguments == ["version"] else gateway.run(*arguments).returncode
    assert start([program("waypost"), *words], CLOSINGS["in and err"]).wait(60) == expected
    assert start([program("waypost"), *words], CLOSINGS["all"]).wait(60) == 74, "nobody can read the answer"


def ends(arguments, output):
    """(exit code, standard error) with standard output on a disk that is full, or closed."""
    to = {"full": ">/dev/full", "closed": ">&-"}[output]
    done = subprocess.run(["bash", "-c", f'exec "$@" {to}', "bash", *map(str, arguments)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr


REASONS = {"full": "No space left on device", "closed": "Bad file descriptor"}


@pytest.mark.parametrize("output", REASONS)
def test_an_unwritten_answer_is_none(world, output):
    gateway = world.gateway(world.sink(), start=False)
    gateway.write_table([("bob@corp.example", "bob@orgname.awsapps.com", "", "wave-3")])
    gateway.start()
    commands = [["table", "export"], ["table", "stats"], ["table", "who", "bob@corp.example"], ["table", "check"], ["wave", "list"],
                ["wave", "show", "wave-3"], ["wave", "members", "wave-3", "--json"], ["wave", "plan", "wave-3", "hold"], ["status"],
                ["status", "--json"], ["check"], ["queue", "list"], ["route", "explain", "bob@corp.example"], ["spool", "verify"],
                ["wave", "hold", "wave-3"]]
    for words in commands:
        code, said = ends([program("waypost"), *words, "--config", gateway.config_file], output)
        assert code == 74 and f"waypost: standard output can't be written: {REASONS[output]}" in said, (words, code, said)
    assert "migrating" in gateway.run("wave", "list").stdout, "what was said was done"
    for words in (["version"], ["--help"], ["queue", "--help"]):
        assert ends([program("waypost"), *words], output)[0] == 74, words
    for words in (["--version"], ["--help"], ["send", "--help"]):
        code, said = ends([program("waypost-load"), *words], output)
        assert code == 74 and f"waypost-load: standard output can't be written: {REASONS[output]}" in said, (words, code, said)
    # Who prints nothing there needs none.
    for words, expected in ((["serve", "--config", world.directory / "none.yaml"], 78), (["quue"], 64)):
        code, said = ends([program("waypost"), *words], output)
        assert code == expected and "standard output" not in said, (code, said)
