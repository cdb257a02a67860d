"""What `cmake --install` puts on a machine: every file that the help, the unit and the pages name is there, and every link leads somewhere."""

import re
import subprocess

import pytest
from conftest import ROOT
from rig.programs import build_folder, program

LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
INSTALLED = re.compile(r"/usr/[\w./@-]*\w")


@pytest.fixture(scope="module")
def tree(work_folder):
    """The installed tree; its `usr` is a machine's /usr."""
    prefix = work_folder / "installed" / "usr"
    done = subprocess.run(["cmake", "--install", build_folder(), "--prefix", prefix], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return prefix.parent


def missing(tree, text):
    named = {path for path in INSTALLED.findall(text) if not path.startswith(("/usr/bin/python", "/usr/include"))}
    assert named, "it names nothing"
    return sorted(path for path in named if not (tree / path[1:]).exists())


@pytest.mark.parametrize("name", ["waypost", "waypost-load"])
def test_what_the_programs_name_is_installed(tree, name):
    assert (tree / "usr" / "bin" / name).exists()
    inside = program(name).read_bytes()
    bare = re.findall(rb"(?<!/usr/share/doc/waypost/)docs/[a-z-]+\.md", inside)
    assert not bare, f"{bare}: nobody finds these from where he is"
    pages = {path.decode() for path in re.findall(rb"/usr/share/doc/waypost/[\w./-]*\w", inside)}
    assert not [path for path in pages if path != "/usr/share/doc/waypost/docs" and not (tree / path[1:]).exists()], pages


def test_what_help_names_is_installed(tree):
    shown = subprocess.run([program("waypost"), "--help-all"], text=True, capture_output=True, check=True).stdout
    for command in ("reconcile", "route"):
        shown += subprocess.run([program("waypost"), command, "--help"], text=True, capture_output=True, check=True).stdout
    assert not missing(tree, shown)


def test_what_the_unit_names_is_installed(tree):
    text = (tree / "usr/lib/systemd/system/waypost.service").read_text()
    assert "Documentation=file:///usr/share/doc/waypost/README.md" in text
    assert not missing(tree, text)


def test_what_the_operators_page_names_is_installed(tree):
    page = (tree / "usr/share/doc/waypost/docs/operations.md").read_text()
    assert not missing(tree, page)
    # What it calls by its place in the source is for who builds there.
    for path in re.findall(r"`((?:tools|config|systemd|examples)/[\w./-]*\w)", page):
        assert (ROOT / path).exists(), path
    assert "examples/" not in page


def test_links_hold_where_they_are_installed(tree):
    documents = sorted((tree / "usr/share/doc/waypost").rglob("*.md"))
    assert len(documents) > 15
    dangling = [f"{page.relative_to(tree)}: {link}" for page in documents for link in LINK.findall(page.read_text())
                if "://" not in link and not (page.parent / link).exists()]
    assert not dangling, "\n".join(dangling)


def test_the_runtime_packages_can_be_asked_for_there(tree):
    tool = tree / "usr/share/doc/waypost/tools/install-packages"
    shown = subprocess.run([tool, "--help"], text=True, capture_output=True, check=False)
    assert shown.returncode in (0, 64) and "runtime" in shown.stdout + shown.stderr, shown
