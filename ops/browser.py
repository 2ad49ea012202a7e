"""The browser that the tests of the web UI drive: the system's Chromium, installed where that can be done."""

import os
import shutil
import subprocess
from collections.abc import Callable

from propensity.errors import MachineError

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BY_HAND = "apt-get install chromium, or leave the browser tests out with PROPENSITY_NO_BROWSER=1"


def find() -> str | None:
    """Return the path of a Chromium, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def chromium(say: Callable[[str], None] = print) -> str | None:
    """Return the path of a Chromium, installed when this process may; None when PROPENSITY_NO_BROWSER is set.

    Raise MachineError when there is none.
    """
    if os.environ.get("PROPENSITY_NO_BROWSER") == "1":
        return None
    found = find()
    if found:
        return found
    apt = shutil.which("apt-get")
    if os.geteuid() != 0 or apt is None:
        raise MachineError("no Chromium here, which the tests of the web UI drive", do=BY_HAND)
    say("Installing chromium (the tests of the web UI drive it)")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-q"], ["install", "-y", "-q", "--no-install-recommends", "chromium"]):
        subprocess.run([apt, *command], env=environment, capture_output=True, check=False)
    found = find()
    if not found:
        raise MachineError("could not install chromium, which the tests of the web UI drive", do=BY_HAND)
    return found
