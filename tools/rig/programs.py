"""Where the built programs are."""

import os
import pathlib
import pwd

from .processes import RigError

ROOT = pathlib.Path(__file__).resolve().parents[2]


def build_folder():
    """WAYPOST_BUILD, or build/release, or build/dev."""
    named = os.environ.get("WAYPOST_BUILD")
    for folder in [named] if named else ["build/release", "build/dev"]:
        path = ROOT / folder
        if (path / "bin").is_dir():
            return path
    raise RigError("no build folder; build first: cmake --preset release && cmake --build --preset release")


def program(name):
    path = build_folder() / "bin" / name
    if not path.exists():
        raise RigError(f"{path} is not built; cmake --build {build_folder()} --target {name}")
    return path


def me():
    """The user who runs this, by name."""
    return pwd.getpwuid(os.geteuid()).pw_name


def sanitized():
    """True if the programs are instrumented: LD_PRELOAD and memory limits make no sense then."""
    cache = build_folder() / "CMakeCache.txt"
    for line in cache.read_text(encoding="utf-8").splitlines():
        if line.startswith("WAYPOST_SANITIZE:"):
            return line.split("=", 1)[1] != ""
    return False
