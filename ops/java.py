"""The Java that Spark needs: found, installed where that can be done, or asked for in one line."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from propensity.errors import MachineError

MINIMUM = 17
PACKAGE = "openjdk-17-jre-headless"
BY_HAND = f"apt-get install {PACKAGE}, or set JAVA_HOME to a Java of version {MINIMUM} or newer"


def java_home(say: Callable[[str], None] = print) -> str:
    """Return the home of a Java that is new enough; install one when this process may.  Raise MachineError when there is none."""
    found = find()
    if found:
        return found
    _install(say)
    found = find()
    if not found:
        raise MachineError(f"no Java of version {MINIMUM} or newer, even after installing {PACKAGE}", do=BY_HAND)
    return found


def find() -> str | None:
    """Return the home of the Java of JAVA_HOME or PATH, or of the system's newest, that is new enough."""
    candidates = [Path(os.environ["JAVA_HOME"]) / "bin" / "java"] if os.environ.get("JAVA_HOME") else []
    on_path = shutil.which("java")
    candidates += [Path(on_path)] if on_path else []
    candidates += sorted(Path("/usr/lib/jvm").glob("*/bin/java"), reverse=True)
    for java in candidates:
        if (version(java) or 0) >= MINIMUM:
            return str(java.resolve().parents[1])
    return None


def version(java: Path) -> int | None:
    """Return the major version that a ``java`` says it is, or None when it does not run."""
    try:
        done = subprocess.run([str(java), "-version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r'version "(\d+)(?:\.(\d+))?', done.stderr + done.stdout)
    if not found:
        return None
    major = int(found[1])
    return int(found[2] or 0) if major == 1 else major  # Java 8 calls itself 1.8


def _install(say: Callable[[str], None]) -> None:
    apt = shutil.which("apt-get")
    if os.geteuid() != 0 or apt is None:
        raise MachineError(f"no Java of version {MINIMUM} or newer here", do=BY_HAND)
    say(f"Installing {PACKAGE} (Spark needs Java {MINIMUM} or newer)")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = [apt, "install", "-y", "-q", "--no-install-recommends", PACKAGE]
    for command in ([apt, "update", "-q"], install):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode and command is install:
            words = [line for line in done.stderr.splitlines() if line.strip()]
            raise MachineError(f"could not install Java: {words[-1] if words else 'apt-get failed'}", do=BY_HAND)
