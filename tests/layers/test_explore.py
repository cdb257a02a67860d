"""tools/explore keeps what its explorers find, goes on beside a broken one, and says by its exit code whether it found something."""

import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "rig"))

import explore  # noqa: E402


def finds_nothing(turn):
    turn.run(["true"])


def finds(turn):
    code, output = turn.run(["sh", "-c", "echo broken; exit 3"])
    assert (code, output) == (3, "broken\n")
    (turn.folder / "input").write_text("what breaks it")
    return explore.Finding("it breaks", "program INPUT", "keep it", [turn.folder / "input"])


def breaks(turn):
    raise ValueError("no such program")


@pytest.fixture
def walk(tmp_path):
    def run(*functions):
        found = tmp_path / "explore" / "findings"
        listed = [("kind", function.__name__, function) for function in functions]
        code = explore.Expedition(listed, 0.3, 7, found, slice_seconds=0.1).run()
        return code, sorted(found.glob("*/FINDING.txt")) if found.exists() else []
    return run


def test_nothing_found_is_good(walk):
    assert walk(finds_nothing) == (0, [])


def test_a_finding_is_kept_with_what_shows_it(walk):
    code, kept = walk(finds_nothing, finds)
    assert code == 1 and kept
    text = kept[0].read_text()
    assert "it breaks" in text and f"program {kept[0].parent / 'input'}" in text and "keep it" in text
    assert (kept[0].parent / "input").read_text() == "what breaks it"
    assert (kept[0].parent / "output.txt").read_text() == "broken\n"


def test_an_explorer_that_breaks_is_a_finding_and_the_others_go_on(walk, capsys):
    code, kept = walk(breaks, finds_nothing)
    assert code == 1 and "no such program" in kept[0].read_text()
    assert "ok    kind       finds_nothing" in capsys.readouterr().out


def test_what_does_not_end_is_cut(tmp_path):
    turn = explore.Turn(0.1, 1, 0, tmp_path / "turn")
    assert turn.run(["sleep", "60"], patience=0.1)[0] is None
