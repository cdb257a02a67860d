"""`waypost reconcile` on the sample exports: what it finds, in all three formats, and how it ends."""

import csv
import io
import json
import shlex
import subprocess

import pytest
from conftest import ROOT
from rig.programs import program

DATA = ROOT / "tests" / "data"
PAGES = [DATA / "workmail-list-users-page1.json", DATA / "workmail-list-users-page2.json"]
ALIASES = DATA / "workmail-list-aliases-bob.baker.json"
USERS = DATA / "exchange-mailusers.csv"
CONFIG = """own_name: gw.corp.example
tls: {certificates: [{chain: /nowhere/chain.pem, key: /nowhere/key.pem}]}
admission: {networks: [127.0.0.1]}
routing:
  own_domains: [corp.example]
  domain_aliases: {old-corp.example: corp.example}
  tables: [TABLE]
  target_domains: {orgname.awsapps.com: workmail}
next_hops:
  workmail: {mx: orgname.awsapps.com}
"""


def people():
    with open(USERS, encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def desk(tmp_path):
    """Configuration and table as an operator has them: everybody active but Zoë, and Yusuf pending."""
    rows = []
    for person in people():
        if person["Alias"] == "zoe.zimmer":
            continue
        state = "pending" if person["Alias"] == "yusuf.young" else "active"
        target = person["ExternalEmailAddress"].removeprefix("SMTP:")
        for address in person["EmailAddresses"].split(";"):
            if address.lower().startswith("smtp:") and not address.endswith("@old-corp.example"):
                rows.append(f"{address[5:]},{target},{state},{'second' if state == 'pending' else 'first'}")
    folder = tmp_path
    (folder / "table.csv").write_text("\n".join(rows) + "\n")
    (folder / "waypost.yaml").write_text(CONFIG.replace("TABLE", str(folder / "table.csv")))
    return folder


def reconcile(desk, *arguments, exchange=USERS, workmail=PAGES, aliases=ALIASES):
    argv = [program("waypost"), "reconcile", "--config", desk / "waypost.yaml", "--exchange", exchange,
            "--workmail", *workmail, "--aliases", aliases, *arguments]
    return subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=60, check=False)


EXPECTED = [("no_workmail_user", "elodie.evans@corp.example"), ("workmail_disabled", "hakon.hughes@corp.example"),
            ("workmail_deleted", "joao.jensen@corp.example"), ("not_routed", "zoe.zimmer@corp.example"),
            ("alias_missing_in_workmail", "bob.baker@corp.example")]


def test_json_is_one_document_with_counts(desk):
    answer = reconcile(desk, "--format", "json", "--organisation", "m-42")
    assert answer.returncode == 1, answer.stderr
    document = json.loads(answer.stdout)
    assert [(f["kind"], f["person"]) for f in document["findings"]] == EXPECTED
    assert document["total"] == len(EXPECTED)
    assert {kind for kind, count in document["counts"].items() if count} == {kind for kind, _ in EXPECTED}
    assert document["looked_at"] == {"exchange_recipients": 26, "workmail_users": 27, "targets": 25}
    disabled = document["findings"][1]
    assert disabled["mend"] == {"where": "aws", "line": "aws workmail register-to-work-mail --organization-id m-42 "
                                "--entity-id S-1-1-11-0000001007-230530419-040260662-2007 "
                                "--email hakon.hughes@orgname.awsapps.com"}
    assert {place["source"].rsplit("/", 1)[-1] for place in disabled["places"]} == {
        "table.csv", "workmail-list-users-page1.json"}
    assert all(place["line"] > 0 for finding in document["findings"] for place in finding["places"])
    for finding in document["findings"]:
        if finding["mend"]["where"] == "aws":
            assert shlex.split(finding["mend"]["line"])[:2] == ["aws", "workmail"]
    assert any("aliases of" in note for note in document["notes"])


def test_table_ends_with_a_summary(desk):
    answer = reconcile(desk)
    assert answer.returncode == 1
    lines = answer.stdout.splitlines()
    assert lines[0].split()[:2] == ["KIND", "PERSON"]
    for kind, person in EXPECTED:
        assert any(line.startswith(kind) and f" {person} " in line for line in lines), (kind, person)
    assert ("5 findings: 1 no_workmail_user, 1 workmail_disabled, 1 workmail_deleted, 1 not_routed, "
            "1 alias_missing_in_workmail") in lines
    assert lines[-1].startswith("m-ORGANISATION-ID stands for your organisation's id")
    assert "    zoe.zimmer@corp.example,zoe.zimmer@orgname.awsapps.com" in lines


def test_csv_is_for_spreadsheets(desk):
    answer = reconcile(desk, "--format", "csv")
    assert answer.returncode == 1
    rows = list(csv.DictReader(io.StringIO(answer.stdout.removeprefix("\ufeff"), newline="")))
    assert [(row["kind"], row["person"]) for row in rows] == EXPECTED
    assert "5 findings" in answer.stderr and "5 findings" not in answer.stdout


def test_csv_holds_no_formula(desk):
    evil = desk / "evil.csv"
    evil.write_text("PrimarySmtpAddress,ExternalEmailAddress,EmailAddresses,RecipientTypeDetails\n"
                    "=cmd+1@corp.example,-2@orgname.awsapps.com,,MailUser\n"
                    "+x@corp.example,x@orgname.awsapps.com,,MailUser\n")
    answer = reconcile(desk, "--format", "csv", "--kind", "no_workmail_user", exchange=evil)
    assert answer.returncode == 1
    cells = [cell for row in csv.reader(io.StringIO(answer.stdout, newline="")) for cell in row]
    assert not [cell for cell in cells if cell[:1] in tuple("=+-@\t\r") and cell]
    assert "'=cmd+1@corp.example" in cells and "'+x@corp.example" in cells


def test_csv_holds_no_formula_whatever_separates_its_cells(desk):
    names = ["x;=1+1+cmd|' /C calc'!A0", 'x; "=1+1"', "x|@SUM(1)", "x,\t-2", "a;+1"]
    evil = desk / "evil.csv"
    with open(evil, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["DisplayName", "PrimarySmtpAddress", "ExternalEmailAddress", "EmailAddresses", "RecipientTypeDetails"])
        for n, name in enumerate(names):
            rows.writerow([name, f"p{n}@corp.example", f"p{n}@orgname.awsapps.com", "", "MailUser"])
    answer = reconcile(desk, "--format", "csv", "--kind", "no_workmail_user", exchange=evil)
    assert answer.returncode == 1 and answer.stdout.startswith("\ufeffkind,")
    for separator in ",;|\t":
        for row in csv.reader(io.StringIO(answer.stdout, newline=""), delimiter=separator):
            for cell in row:
                assert not cell.lstrip(" \"").startswith(("=", "+", "@", "-", "\t")), (separator, cell)


NASTY = ["x;=1;touch executed;y;=2", "Sales;@Home", "O'Brien;'=1", "a;\"=1\"", "$(touch executed)", "`touch executed`", "'; touch executed; '",
         "x|=1|touch executed|y|=2", "a\nb;=1", "a\tb\t=1", "x;\n-2", "Zoë \U0001f600;=1", "b\u202ea;=1", "\\;=1\\", "!!;-x", "-n;+1", "file:///etc/passwd;=1",
         "Sales;", "x,=1", "plain"]


def run_line(desk, line):
    """What `aws` was called with, call by call, when `line` runs in a shell."""
    said = desk / "said"
    said.unlink(missing_ok=True)
    (desk / "bin").mkdir(exist_ok=True)
    (desk / "bin" / "aws").write_text("#!/bin/sh\nprintf '%s\\0' \"$@\" >> \"$SAID\"\nprintf '\\001' >> \"$SAID\"\necho NEW-ID\n")
    (desk / "bin" / "aws").chmod(0o755)
    ran = subprocess.run(["sh", "-c", line], cwd=desk, capture_output=True, text=True, timeout=60, check=False,
                         env={"PATH": f"{desk / 'bin'}:/usr/bin:/bin", "SAID": str(said)})
    assert ran.returncode == 0 and not ran.stderr, (line, ran)
    return [call.split("\0")[:-1] for call in said.read_text().split("\1")[:-1]]


def test_a_line_from_the_csv_is_the_line_of_the_json_and_runs_as_it_is_meant(desk):
    evil = desk / "evil.csv"
    with open(evil, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["DisplayName", "PrimarySmtpAddress", "ExternalEmailAddress", "EmailAddresses", "RecipientTypeDetails"])
        for n, name in enumerate(NASTY):
            rows.writerow([name, f"p{n:02}@corp.example", f"p{n:02}@orgname.awsapps.com", "", "MailUser"])
    words = ["--kind", "no_workmail_user", "--organisation", "m-1"]
    as_json = json.loads(reconcile(desk, "--format", "json", *words, exchange=evil).stdout)["findings"]
    text = reconcile(desk, "--format", "csv", *words, exchange=evil).stdout.removeprefix("\ufeff")
    as_csv = list(csv.DictReader(io.StringIO(text, newline="")))
    lines = {row["person"]: row["line"] for row in as_csv}
    assert lines == {finding["person"]: finding["mend"]["line"] for finding in as_json}
    for n, name in enumerate(NASTY):
        create, register = run_line(desk, lines[f"p{n:02}@corp.example"])
        assert sorted(file.name for file in desk.iterdir() if file.name in ("executed", "=1", "=2")) == [], name
        assert create[:2] == ["workmail", "create-user"] and create[-4:] == ["--query", "UserId", "--output", "text"]
        if "--cli-input-json" in create:
            given = json.loads(create[create.index("--cli-input-json") + 1])["DisplayName"]
        else:
            given = create[create.index("--display-name") + 1]
        assert given == name.replace("\n", " ").replace("\t", " "), name
        assert register == ["workmail", "register-to-work-mail", "--organization-id", "m-1", "--entity-id", "NEW-ID", "--email",
                            f"p{n:02}@orgname.awsapps.com"]


def test_a_row_that_a_spreadsheet_would_take_for_a_formula_is_left_out_and_said(desk):
    users = desk / "users.json"
    users.write_text(json.dumps({"Users": [{"Id": "S-1", "Email": "x@orgname.awsapps.com", "Name": "x", "State": "ENABLED", "UserRole": "USER"}]}))
    evil = desk / "evil.csv"
    evil.write_text("PrimarySmtpAddress,EmailAddresses,RecipientTypeDetails\n=x@corp.example,smtp:x@orgname.awsapps.com,UserMailbox\n")
    words = {"exchange": evil, "workmail": [users]}
    answer = reconcile(desk, "--format", "json", "--kind", "not_routed", **words)
    [finding] = json.loads(answer.stdout)["findings"]
    assert finding["mend"]["line"].startswith("=x@corp.example,"), finding
    text = reconcile(desk, "--format", "csv", "--kind", "not_routed", **words).stdout.removeprefix("\ufeff")
    [row] = csv.DictReader(io.StringIO(text, newline=""))
    assert row["line"] == "" and "--format json" in row["caution"], row


def test_kinds_and_waves_narrow_it_down(desk):
    answer = reconcile(desk, "--format", "json", "--kind", "not_routed", "workmail_deleted")
    assert [f["kind"] for f in json.loads(answer.stdout)["findings"]] == ["workmail_deleted", "not_routed"]
    answer = reconcile(desk, "--wave", "second")
    assert answer.returncode == 0, answer.stdout
    assert answer.stdout.startswith("nothing to do: ")


def test_utf16_export_says_the_same(desk):
    def findings(answer):
        found = json.loads(answer.stdout)["findings"]
        return [{**f, "places": [p for p in f["places"] if "mailusers" not in p["source"]]} for f in found]
    same = reconcile(desk, "--format", "json", exchange=DATA / "exchange-mailusers-powershell5-utf16.csv")
    assert findings(same) == findings(reconcile(desk, "--format", "json"))


def test_what_cant_be_read_is_named(desk):
    unexpanded = reconcile(desk, exchange=DATA / "exchange-mailusers-unexpanded.csv")
    assert unexpanded.returncode == 66
    assert ":2:103: error: EmailAddresses holds the .NET type name" in unexpanded.stderr
    assert "$_.EmailAddresses -join ';'" in unexpanded.stderr
    half = reconcile(desk, workmail=PAGES[:1])
    assert half.returncode == 66 and "the last page is missing" in half.stderr
    missing = reconcile(desk, exchange=desk / "none.csv")
    assert missing.returncode == 66 and "none.csv: can't be read: No such file" in missing.stderr
    folder = reconcile(desk, exchange=desk)
    assert folder.returncode == 66 and "can't be read" in folder.stderr
    swapped = reconcile(desk, workmail=[ALIASES])
    assert swapped.returncode == 66 and "output of list-aliases" in swapped.stderr
    for answer in [unexpanded, half, missing, folder, swapped]:
        assert answer.stdout == ""


@pytest.mark.parametrize("arguments, said", [(["--kind", "not_route"], "did you mean 'not_routed'?"),
                                             (["--format", "xml"], "'xml' is not known"),
                                             (["--wave", "frist"], "did you mean 'first'?")])
def test_usage(desk, arguments, said):
    answer = reconcile(desk, *arguments)
    assert answer.returncode == 64 and said in answer.stderr


def test_both_sides_are_needed(desk):
    answer = subprocess.run([program("waypost"), "reconcile", "--config", desk / "waypost.yaml", "--exchange", USERS],
                            capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == 64 and "--exchange and --workmail are both needed" in answer.stderr


def test_configuration_that_cant_be_used(desk):
    (desk / "table.csv").write_text("bob@corp.example,bob@corp.example\n")
    answer = reconcile(desk)
    assert answer.returncode == 78 and "table.csv:1" in answer.stderr
    (desk / "waypost.yaml").write_text("own_nam: x\n")
    answer = reconcile(desk)
    assert answer.returncode == 78 and "waypost.yaml:1:1: error" in answer.stderr
