"""What both programs say of a command line that they can't use: on standard error, with what was meant, and exit code 64."""

import json
import os
import subprocess

import pytest
from rig.programs import program


def run(name, *arguments, **environment):
    return subprocess.run([program(name), *arguments], capture_output=True, text=True, timeout=30, check=False,
                          env={**os.environ, **environment})


@pytest.mark.parametrize("arguments, says", [
    (["statsu"], "waypost: unknown command 'statsu'; did you mean 'status'?"),
    (["check", "--confg", "x"], "waypost check: unknown option '--confg'; did you mean '--config'?"),
    (["check", "--confg=x"], "waypost check: unknown option '--confg'; did you mean '--config'?"),
    (["queue", "lsit"], "waypost queue: unknown command 'lsit'; did you mean 'list'?"),
    (["wave", "plan", "w", "hold", "more"], "waypost wave plan: too many words: 'more'"),
    (["queue"], "waypost queue: which command? There are list, show"),
    ([], "waypost: which command? There are serve, check"),
    (["check", "-x"], "waypost check: unknown option '-x'"),
    (["passwd"], "waypost passwd: user is required"),
])
def test_mistakes_are_named(arguments, says):
    said = run("waypost", *arguments)
    assert said.returncode == 64 and not said.stdout, said
    assert said.stderr.startswith(says), said.stderr
    assert "--help'" in said.stderr.splitlines()[-1]


# No daemon runs: whoever takes one of these for good ends with 69, "there is no gateway".
@pytest.mark.parametrize("arguments, says", [
    (["queue", "delete", "--all", "--reason", "--dry-run"], "'--reason' has no value: '--dry-run' stands there. To mean that, write --reason=--dry-run"),
    (["wave", "rollback", "w1", "--reason", "--at=+2h"], "'--reason' has no value: '--at=+2h' stands there"),
    (["wave", "rollback", "--member=", "--config", "x", "w1"], "'--member=' has no value"),
    (["wave", "rollback", "w1", "--member", "-c"], "'--member' has no value: '-c' stands there"),
    (["status", "-c", "--json"], "'-c' has no value: '--json' stands there. To mean that, write -c--json"),
    (["wave", "activate", "w2", "--at", ""], "an empty word behind '--at': is a variable without a value?"),
    (["queue", "delete", "--recipient", "e@*", "--sender", ""], "an empty word behind '--sender'"),
    (["queue", "hold", "--all", "--sender="], "'--sender=' has no value"),
    (["route", "explain", ""], "an empty word behind 'explain'"),
    (["queue", "delete", "--older", "0", "--sender", "s@*"], "'0': an age is more than 0"),
    (["queue", "delete", "--younger", "0s", "--sender", "s@*"], "'0s': an age is more than 0"),
])
def test_a_missing_value_is_no_value(arguments, says, tmp_path):
    said = run("waypost", *arguments, WAYPOST_CONFIG=str(tmp_path / "none.yaml"))
    assert said.returncode == 64 and not said.stdout and says in said.stderr, said


def test_the_load_kit_wants_values_too():
    said = run("waypost-load", "send", "--target", "--plain", "--count", "1")
    assert said.returncode == 64 and "'--target' has no value: '--plain' stands there" in said.stderr


@pytest.mark.parametrize("arguments", [["route", "explain", "--", "-d@corp.example"], ["wave", "show", "--", "-w5"]])
def test_words_behind_two_dashes_are_no_options(arguments, tmp_path):
    said = run("waypost", *arguments, WAYPOST_CONFIG=str(tmp_path / "none.yaml"))
    assert "option" not in said.stderr and said.returncode != 64, said


@pytest.mark.parametrize("text", [None, "{broken: [", "admim: {socket: /run/other.sock}\n", "admin:\n  socket: /run/oth",
                                  "", "# admin\n", "own_name: x.corp.example\n", "own_name: x.corp.example\nadmin:\n"],
                         ids=["missing", "no YAML", "mistyped", "cut", "empty", "comments", "cut between lines", "nothing behind admin"])
@pytest.mark.parametrize("arguments", [["status"], ["reload"], ["route", "explain", "a@corp.example"], ["queue", "list"], ["queue", "suspend", "--all"],
                                       ["wave", "list"], ["wave", "rollback", "w1"], ["table", "stats"], ["table", "diff"], ["table", "export"],
                                       ["directory", "status"], ["spool", "verify"]], ids=" ".join)
def test_a_configuration_that_was_named_and_says_nothing_is_not_the_default(arguments, text, tmp_path):
    named = tmp_path / "named.yaml"
    if text is not None:
        named.write_text(text)
    for said in (run("waypost", *arguments, "--config", str(named)), run("waypost", *arguments, WAYPOST_CONFIG=str(named))):
        assert said.returncode == 78, said
        assert f"{named}:" in said.stderr and "/run/waypost" not in said.stderr, said
        assert "not known" in said.stderr, said
    if arguments[0] != "spool":
        said = run("waypost", *arguments, "--config", str(named), "--socket", str(tmp_path / "nobody.sock"))
        assert said.returncode == 69, said


def test_a_pipe_in_the_place_of_the_configuration_holds_nobody(tmp_path):
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    for arguments, code in ((["check"], 1), (["wave", "list"], 78), (["serve"], 78)):
        said = run("waypost", *arguments, "--config", str(pipe))
        assert said.returncode == code and f"{pipe}: " in said.stderr and "not a regular file" in said.stderr, said


def test_only_the_default_configuration_may_be_missing(tmp_path):
    if os.path.exists("/etc/waypost/waypost.yaml") or os.path.exists("/run/waypost/admin.sock"):
        pytest.skip("a gateway is installed here")
    assert run("waypost", "status").returncode == 69


def test_the_load_kit_speaks_alike():
    said = run("waypost-load", "sned")
    assert said.returncode == 64 and said.stderr.startswith("waypost-load: unknown command 'sned'; did you mean 'send'?")


@pytest.mark.parametrize("name", ["waypost", "waypost-load"])
def test_help_and_version_are_answers(name):
    for arguments in (["--help"], ["help"], ["--version"]):
        said = run(name, *arguments)
        assert said.returncode == 0 and said.stdout and not said.stderr, said
    assert run(name, "--version").stdout.startswith(name + " ")


def test_help_of_a_command():
    assert run("waypost", "help", "queue", "list").stdout == run("waypost", "queue", "list", "--help").stdout
    assert json.loads(run("waypost", "version", "--json").stdout)["waypost"]


def test_the_configuration_may_be_named_by_the_environment():
    said = run("waypost", "check", WAYPOST_CONFIG="/nowhere/waypost.yaml")
    assert said.returncode == 1 and "/nowhere/waypost.yaml" in said.stdout + said.stderr
