"""The include graph of the rooms: each uses rooms below it, never above; and what may not be seen where."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Highest first. A room may include rooms of a later line; rooms of one line, only as SAME_LINE says.
LINES = [["app"], ["config", "admin"], ["inbound"], ["queue"], ["outbound"], ["spool"], ["routing"], ["net"],
         ["smtp", "mail"], ["base", "ops"]]
SAME_LINE = {("smtp", "mail"), ("ops", "base")}
# What DESIGN.md forbids beyond the order: `inbound` may not know how mail leaves, `admin` decides nothing about mail,
# `queue` and `outbound` do not see the server's half.
FORBIDDEN = {("inbound", "queue"), ("inbound", "outbound"), ("queue", "inbound"), ("outbound", "inbound"),
             ("spool", "mail"), ("spool", "smtp"), ("spool", "routing"), ("net", "smtp"), ("net", "mail"),
             ("outbound", "routing"), ("admin", "mail"), ("admin", "smtp"), ("admin", "spool"), ("admin", "queue"),
             ("admin", "outbound"), ("admin", "inbound"), ("admin", "routing"), ("routing", "net")}
LEVEL = {room: level for level, rooms in enumerate(LINES) for room in rooms}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
# Libraries and system headers that only these rooms may see.
ONLY_IN = {
    "yaml-cpp/": {"config"},
    "CLI/": {"app"},
    "date/": {"routing"},
    "ares.h": {"net"},
    "sodium.h": {"inbound", "net"},
    "prometheus/": {"ops"},
    "systemd/": {"app"},
    "boost/asio": {"net", "spool", "outbound", "queue", "inbound", "admin", "app"},
    "boost/beast": {"admin"},
    "sys/socket.h": {"net", "admin", "inbound", "app"},
    "netinet/": {"net", "inbound"},
    "sys/epoll.h": set(),
}


def sources():
    for folder in ("include/waypost", "src"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".h", ".cc") and path.parent != ROOT / folder:
                yield path, path.relative_to(ROOT / folder).parts[0]


def includes(path):
    return [(kind, name) for kind, name in INCLUDE.findall(path.read_text(encoding="utf-8"))]


def room_of(name):
    """The room that an include names; None for a library."""
    match = re.match(r"waypost/(\w+)/", name) or re.match(r"(\w+)/", name)
    return match.group(1) if match and match.group(1) in LEVEL else None


def may_use(user, used):
    if user == used:
        return True
    if (user, used) in FORBIDDEN:
        return False
    return LEVEL[user] < LEVEL[used] or (user, used) in SAME_LINE


def test_every_folder_is_a_known_room():
    rooms = {room for _, room in sources()}
    assert rooms <= set(LEVEL), f"unknown rooms: {rooms - set(LEVEL)}; add them to DESIGN and to LINES here"


def test_rooms_use_only_rooms_below():
    wrong = []
    for path, room in sources():
        for kind, name in includes(path):
            used = room_of(name)
            if used is None or (kind == "<" and not name.startswith("waypost/")):
                continue
            if not may_use(room, used):
                wrong.append(f"{path.relative_to(ROOT)}: {room} may not include {name}")
    assert not wrong, "\n".join(wrong)


def test_private_headers_stay_private():
    wrong = []
    for path, room in sources():
        for _, name in includes(path):
            used = room_of(name)
            if used and not name.startswith("waypost/") and used != room:
                wrong.append(f"{path.relative_to(ROOT)}: {name} is private to {used}")
    assert not wrong, "\n".join(wrong)


def test_public_headers_show_no_private_ones():
    wrong = [f"{path.relative_to(ROOT)}: {name}" for path, _ in sources() if path.is_relative_to(ROOT / "include")
             for kind, name in includes(path) if kind == '"' and not name.startswith("waypost/")]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("prefix", sorted(ONLY_IN))
def test_libraries_stay_in_their_rooms(prefix):
    wrong = [f"{path.relative_to(ROOT)}: {name}" for path, room in sources() for _, name in includes(path)
             if name.startswith(prefix) and room not in ONLY_IN[prefix]]
    assert not wrong, "\n".join(wrong)


def test_rooms_link_what_they_include():
    """The libraries' NEEDS (and theirs) hold what the sources include, and nothing from above."""
    needs = {}
    for room in LEVEL:
        file = ROOT / "src" / room / "CMakeLists.txt"
        if file.exists():
            found = re.search(r"waypost_room\(\s*" + room + r"\b(.*?)\n?\)", file.read_text(), re.DOTALL)
            words = found.group(1).split() if found else []
            needs[room] = set()
            if "NEEDS" in words:
                for word in words[words.index("NEEDS") + 1:]:
                    if word not in LEVEL:
                        break
                    needs[room].add(word)

    def reach(room, seen):
        for need in needs.get(room, ()):
            if need not in seen:
                seen.add(need)
                reach(need, seen)
        return seen
    wrong = [f"{room} links {need}" for room, all_needs in needs.items() for need in all_needs if not may_use(room, need)]
    for path, room in sources():
        if room in needs and room != "config":  # config sees only plain Options structs: headers are enough
            reachable = reach(room, {room})
            wrong += [f"{path.relative_to(ROOT)}: {room} includes {name} without linking {room_of(name)}"
                      for _, name in includes(path) if room_of(name) and room_of(name) not in reachable]
    assert not wrong, "\n".join(sorted(set(wrong)))


def test_no_clock_but_the_contract():
    """Only SystemClock asks the machine for the time; all else takes a Clock."""
    wrong = [f"{path.relative_to(ROOT)}" for path, room in sources()
             if re.search(r"(system_clock|steady_clock)::now\(\)|\bstd::time\(|\bgettimeofday\(", path.read_text())
             and path.name not in ("clock.cc", "routing_bench.cc")]
    assert not wrong, wrong
