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
