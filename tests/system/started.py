"""Programs that are started as an odd parent would start them."""

import sys


def through(gateway, *statements):
    """`serve` runs behind these Python statements (os, resource and signal are there); other commands as ever."""
    real, wrapper = str(gateway.binary), gateway.directory / "started"
    wrapper.write_text("\n".join([
        f"#!{sys.executable}", "import os, resource, signal, sys",
        # Python ignores these two, and what is ignored stays so.
        "signal.signal(signal.SIGXFSZ, signal.SIG_DFL)", "signal.signal(signal.SIGPIPE, signal.SIG_DFL)",
        "if sys.argv[1] == 'serve':", *(f"    {one}" for one in statements),
        f"os.execv({real!r}, [{real!r}, *sys.argv[1:]])", ""]), encoding="utf-8")
    wrapper.chmod(0o755)
    gateway.binary = wrapper
    return gateway
