"""Become a job that cannot outlive the task that started it.

``python -m propensity_airflow.leash PARENT PROGRAM ARGUMENTS…`` asks the kernel to end this process when its parent ends,
then replaces itself by the program.  A task killed with SIGKILL cannot clean up, and its driver, and a retry's beside
it, would otherwise both run.  The request survives ``exec``.  Other systems than Linux have no such request.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask for the signal, make sure that the parent is still there, and become the program."""
    parent, program, *arguments = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(parent):  # it ended before the request was made
        sys.exit(1)
    os.execv(program, [program, *arguments])  # noqa: S606  # a list, no shell


if __name__ == "__main__":
    main()
