"""A spool folder that Waypost makes is there after a power cut: each folder that got a new name in it is synced."""

import errno

import pytest
from conftest import message
from disk import PowerCut
from rig.programs import sanitized


@pytest.mark.skipif(sanitized(), reason="a sanitized build can't be preloaded")
def test_every_parent_is_synced(world, preload):
    spool = world.directory / "var" / "lib" / "spool"
    gateway = world.gateway(world.sink(), users=["bob"], start=False, spool={"directory": str(spool)})
    watched = world.folder("watch")  # only to have a name for the log
    disk = PowerCut(watched, preload("watched_disk"), None)
    gateway.start(env=disk.environment() | {"DISK_DIR": str(world.directory)})
    assert world.exchange().send("ann@ext.example", ["bob@corp.example"], message()).accepted
    synced = {inode for kind, failed, inode, *_ in disk.records() if kind == "D" and not failed}
    for parent in (world.directory, spool.parent.parent, spool.parent, spool):
        assert parent.stat().st_ino in synced, f"{parent} is not synced"


@pytest.mark.skipif(sanitized(), reason="a sanitized build can't be preloaded")
def test_no_start_where_the_parent_can_not_be_synced(world, preload):
    gateway = world.gateway(world.sink(), users=["bob"], start=False)
    disk = PowerCut(world.folder("watch"), preload("watched_disk"), None)
    gateway.tracking_file.touch()
    gateway.log_file.touch()
    started = gateway.start(env=disk.environment(fail_at=1, error=errno.EIO) | {"DISK_DIR": str(world.directory)},
                            ready=False)
    assert started.process.child.wait(30) == 69, started.process.output()
    assert f"cannot sync {world.directory}" in started.process.output()
    gateway.process = None
