"""A Python worker that finds Spark gone ends without a word; Spark's own daemon prints a traceback."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import socket, sys
from propensity.engine import daemon
mine, sparks = socket.socketpair()
sparks.sendall(bytes.fromhex({sent!r}))
sparks.close()
run = daemon.worker if {quiet} else daemon._spark_worker
print("ended with", run(mine, True))
"""
TASK = "00000001"
"""The beginning of a message that never comes whole: the worker tells whoever listens what is wrong with it."""


@pytest.mark.parametrize(("quiet", "ending"), [(True, "ended with 1"), (False, "BrokenPipeError")])
def test_a_worker_without_spark_ends_quietly(quiet, ending):
    environment = {**os.environ, "PYTHON_DAEMON_KILL_WORKER_ON_FLUSH_FAILURE": "1", "PYTHONPATH": "src"}
    script = SCRIPT.format(sent=TASK, quiet=quiet)
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert ending in done.stdout + done.stderr
    assert ("Traceback" in done.stderr) is not quiet
