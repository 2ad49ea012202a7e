"""The process that Spark forks Python workers from, as Spark has it, but quiet at the end of a session.

A worker that waits for its next task when Spark ends wants to tell Spark so, finds the Unix socket closed, and Spark's own daemon
prints that as a traceback, where one looks for what went wrong.
"""

import socket

from pyspark import daemon

_spark_worker = daemon.worker


def worker(sock: socket.socket, authenticated: bool) -> int:
    """Run tasks until Spark closes the connection; return the worker's exit code."""
    try:
        return _spark_worker(sock, authenticated)
    except BrokenPipeError:
        return 1


if __name__ == "__main__":
    daemon.worker = worker
    daemon.manager()
