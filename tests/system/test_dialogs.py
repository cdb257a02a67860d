"""Every conversation of tests/dialogs against the real daemon."""

import pathlib
import subprocess

import pytest
from conftest import ROOT
from dialog import Conversation, check_outcome, parse
from rig.programs import program

DIALOGS = sorted((ROOT / "tests" / "dialogs").glob("*.smtp"))
PEOPLE = ["ann", "bob", "carol", "dave", "robert", "postmaster"] + [f"user{n}" for n in range(1, 1002)]
ODD_PEOPLE = [("o'brien@corp.example", "obrien@orgname.awsapps.com"),
              ('"quoted local"@corp.example', "quoted.local@orgname.awsapps.com"),
              ("jürgen@corp.example", "juergen@orgname.awsapps.com")]


def password_file(directory):
    made = subprocess.run([program("waypost"), "passwd", "exchange"], input="Wave-2026!\n", check=True,
                          capture_output=True, text=True)
    path = pathlib.Path(directory) / "passwords"
    path.write_text(made.stdout)
    path.chmod(0o600)
    return str(path)


LEAST_MESSAGE_SIZE = 65_536  # of limits.message_size; smaller limits exist only in memory


def out_of_reach(dialog):
    """Why the daemon can't be configured as this conversation wants it; empty: it can."""
    for word in dialog.listener:
        if word.startswith("max-size=") and int(word.split("=")[1]) < LEAST_MESSAGE_SIZE:
            return f"no configuration has so small a limit: {word}"
    return "only for the runner in memory" if dialog.only == "memory" else ""


def set_the_stage(world, dialog):
    words = dict(word.split("=", 1) if "=" in word else (word, "") for word in dialog.listener)
    hidden = [option for word in dialog.hop_hidden for option in ("--hide", word)]
    sink = world.sink(rules=dialog.hop_rules, options=hidden)
    gateway = world.gateway(sink, start=False)
    gateway.config["routing"]["domain_aliases"] = {"old-corp.example": "corp.example"}
    gateway.write_table([(f"{p}@corp.example", f"{p}@orgname.awsapps.com") for p in PEOPLE] + ODD_PEOPLE)
    listener = gateway.config["listeners"][0]
    if "implicit" in words:
        listener["tls"] = "implicit"
    if "plain" in words:
        listener["tls"] = "none"
    if "require-tls" in words:
        listener["require_tls"] = True
    if "reject" in words:
        listener["bare_newline"] = "reject"
    if "auth" in words or "require-auth" in words:
        gateway.config["admission"]["password_file"] = password_file(world.directory)
    if "require-auth" in words:
        gateway.config["admission"]["networks"] = ["192.0.2.1"]
    limits = gateway.config.setdefault("limits", {})
    for word, key in [("max-size", "message_size"), ("max-errors", "errors_per_session"),
                      ("max-idle-commands", "commands_without_mail"), ("max-commands", "commands_per_message")]:
        if word in words:
            limits[key] = int(words[word])
    if not limits:
        del gateway.config["limits"]
    return gateway.start(), sink


@pytest.mark.parametrize("path", DIALOGS, ids=[path.stem for path in DIALOGS])
def test_conversation(world, path):
    dialog = parse(path)
    if reason := out_of_reach(dialog):
        pytest.skip(reason)
    gateway, sink = set_the_stage(world, dialog)
    accepted = Conversation(dialog, gateway.smtp_port).run()
    check_outcome(dialog, accepted, gateway, sink)
