"""Where tables live, and the one way to change them: a Delta Lake transaction that the driver commits.

Tasks write whole Parquet files under names made from a digest of their inputs and hand back a :class:`DataFile`;
nobody sees those files until :meth:`Lake.commit` replaces exactly one partition with them.
"""

import datetime as dt
import json
import os
import uuid
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, create_table_with_add_actions

from propensity.config import Config
from propensity.contracts import TableContract
from propensity.errors import ConflictError, DataError, MachineError

STATS_KEY = b"propensity.stats"
COMMIT_ATTEMPTS = 20


@dataclass(frozen=True)
class DataFile:
    """A finished file of a table: what a task returns and the driver commits."""

    path: str
    """Relative to the table's root."""
    partition: Mapping[str, str]
    rows: int
    size: int
    """Bytes."""
    stats: Mapping[str, Any] = field(default_factory=dict)
    """What the writer counted; also kept in the file's own footer."""


class Lake:
    """The tables of one configuration, on a local path or in an object store."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.root = config.lake.rstrip("/")
        self.options = dict(config.runtime.storage_options)
        self.user_type = config.tables.user_id
        if "://" in self.root:
            self.fs, self._base = _remote(self.root, self.options)
        else:
            self.fs, self._base = pafs.LocalFileSystem(), self.root

    # -- files ---------------------------------------------------------------------------------------------

    def path(self, table: str, relative: str = "") -> str:
        """Return the path of a file of a table, as the file system wants it."""
        return "/".join(part for part in (self._base, table, relative) if part)

    def exists(self, table: str, relative: str) -> bool:
        """Say whether the file is there, whole (writes are atomic)."""
        return bool(self.fs.get_file_info(self.path(table, relative)).type == pafs.FileType.File)

    def write(
        self, contract: TableContract, partition: Mapping[str, str], name: str, data: pa.Table, stats: Mapping[str, Any]
    ) -> DataFile:
        """Write one file of a table, atomically, under ``<partition folders>/<name>.parquet``.

        `data` must have the contract's schema, packed columns of any one width.  `stats` goes into the footer.  Raise DataError
        when the schema differs.
        """
        difference = contract.difference(data.schema, self.user_type)
        if difference:
            raise DataError(f"schema differs from the contract: {difference}", where=contract.name)
        data = data.replace_schema_metadata({STATS_KEY: json.dumps(stats, sort_keys=True).encode()})
        relative = "/".join([*(f"{key}={partition[key]}" for key in contract.partition_by), f"{name}.parquet"])
        size = self._write_atomically(self.path(contract.name, relative), data, contract.encoding())
        return DataFile(relative, dict(partition), data.num_rows, size, dict(stats))

    def _write_atomically(self, path: str, data: pa.Table, encoding: Mapping[str, Any]) -> int:
        local = isinstance(self.fs, pafs.LocalFileSystem)
        # An object store shows an object only when it is whole; a local file needs the rename.
        target = f"{path}.{uuid.uuid4().hex}.tmp" if local else path
        try:
            if local:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            with self.fs.open_output_stream(target) as sink:
                pq.write_table(data, sink, **encoding)
            if local:
                Path(target).replace(path)
        except OSError as error:
            if local:
                Path(target).unlink(missing_ok=True)
            raise MachineError(
                f"could not write: {error}", where=path, do="free disk space or mend the storage, then run again"
            ) from None
        return int(self.fs.get_file_info(path).size)

    def stat(self, contract: TableContract, partition: Mapping[str, str], name: str) -> DataFile | None:
        """Return the finished file of that name with the statistics in its footer, or None when it is not there."""
        relative = "/".join([*(f"{key}={partition[key]}" for key in contract.partition_by), f"{name}.parquet"])
        if not self.exists(contract.name, relative):
            return None
        path = self.path(contract.name, relative)
        with self.fs.open_input_file(path) as source:
            meta = pq.ParquetFile(source).metadata
        stats = json.loads((meta.metadata or {}).get(STATS_KEY, b"{}"))
        return DataFile(relative, dict(partition), meta.num_rows, int(self.fs.get_file_info(path).size), stats)

    def read(self, table: str, file: DataFile, columns: list[str] | None = None) -> pa.Table:
        """Read one file, with one thread (tasks are the unit of parallelism)."""
        with self.fs.open_input_file(self.path(table, file.path)) as source:
            return pq.ParquetFile(source).read(columns=columns, use_threads=False)

    def first_rows(self, table: str, file: DataFile, rows: int) -> pa.Table:
        """Read a file's first rows, with one thread: only the pages that they are in."""
        wanted, found = min(rows, file.rows), list[pa.RecordBatch]()
        with self.fs.open_input_file(self.path(table, file.path)) as source:
            parquet = pq.ParquetFile(source)
            batches = parquet.iter_batches(max(wanted, 1), use_threads=False)
            while sum(batch.num_rows for batch in found) < wanted:
                found.append(next(batches))
            return pa.Table.from_batches(found, parquet.schema_arrow).slice(0, wanted)

    # -- tables --------------------------------------------------------------------------------------------

    def _uri(self, table: str) -> str:
        return f"{self.root}/{table}"

    def open(self, contract: TableContract) -> DeltaTable | None:
        """Return the Delta table at its newest version, or None when nothing was ever committed."""
        try:
            return DeltaTable(self._uri(contract.name), storage_options=self.options or None)
        except TableNotFoundError:
            return None

    def files(self, contract: TableContract, **partition: str | Sequence[str]) -> list[DataFile]:
        """Return the committed files of the partitions that match, in the order of their paths.

        A value of `partition` is the folder's text (a region's name, a day as YYYY-MM-DD) or several of them.
        """
        table = self.open(contract)
        return [] if table is None else _matching(table, contract, partition)

    def read_rows(self, contract: TableContract, **partition: str | Sequence[str]) -> pa.Table:
        """Read every committed row of the partitions that match, in the order of the files, partition columns left out."""
        files = self.files(contract, **partition)
        tables = [self.read(contract.name, f) for f in files]
        return pa.concat_tables(tables) if tables else contract.file_schema(self.user_type).empty_table()

    def commit(
        self,
        contract: TableContract,
        files: Sequence[DataFile],
        replace: Mapping[str, str | Sequence[str]],
        metadata: Mapping[str, str],
        base: Set[str] | None = None,
    ) -> bool:
        """Replace the partitions that `replace` names (none: the whole table) by `files`, in one transaction.

        Readers see the old files or the new, never a mixture.  `base`, when given, is the paths that the new files were made
        from: anything else found there raises ConflictError, as does another writer who commits first.  Return False,
        with nothing written, when the partitions consist of exactly these files already.
        """
        for attempt in range(1, COMMIT_ATTEMPTS + 1):
            table = self.open(contract)
            current = set() if table is None else {f.path for f in _matching(table, contract, replace)}
            if table is not None and current == {f.path for f in files}:
                return False
            base = current if base is None else base
            if current != set(base):
                changed = sorted(current ^ set(base))
                raise ConflictError(
                    "changed since it was read", where=contract.name, count=len(changed), examples=changed, do="run again"
                )
            try:
                self._transact(contract, table, files, replace, metadata, "overwrite")
                break
            except ConflictError:
                # delta-rs takes an overwrite of one partition for a read of the whole table, so a commit beside ours looks like
                # a conflict; whether it is one, the comparison with `base` above decides.
                if attempt == COMMIT_ATTEMPTS:
                    raise
        return True

    def append(
        self, contract: TableContract, files: Sequence[DataFile], metadata: Mapping[str, str], version: int | None
    ) -> None:
        """Add files to a table that is still at `version` (None: not there yet), in one transaction.

        Raise ConflictError when another writer has committed since: ids and sequences are handed out this way.
        """
        table = self.open(contract)
        if (None if table is None else table.version()) != version:
            raise ConflictError("another writer committed first", where=contract.name, do="run again")
        self._transact(contract, table, files, {}, metadata, "append")

    def version(self, contract: TableContract) -> int | None:
        """Return the table's newest version, or None when nothing was ever committed."""
        table = self.open(contract)
        return None if table is None else int(table.version())

    def _transact(
        self,
        contract: TableContract,
        table: DeltaTable | None,
        files: Sequence[DataFile],
        replace: Mapping[str, str | Sequence[str]],
        metadata: Mapping[str, str],
        mode: Literal["append", "overwrite"],
    ) -> None:
        schema = Schema.from_arrow(contract.table_schema(self.user_type))
        adds = [_add_action(f) for f in files]
        keys = list(contract.partition_by)
        # Two appends never conflict in Delta; an application transaction makes them, so that an id is given once.
        fence = [Transaction(contract.name, (table.version() if table else 0) + 1)] if mode == "append" else None
        properties = CommitProperties(custom_metadata=dict(metadata), app_transactions=fence)
        try:
            if table is None:
                create_table_with_add_actions(
                    self._uri(contract.name), schema, adds, mode="error", partition_by=keys,
                    storage_options=self.options or None, commit_properties=properties,
                )  # fmt: skip
            else:
                table.create_write_transaction(
                    [*adds], mode, schema, keys, partition_filters=_filters(replace) or None, commit_properties=properties
                )
        except DeltaError as error:
            if isinstance(error, CommitFailedError) or "already exists" in str(error):
                raise ConflictError(f"another writer committed first: {error}", where=contract.name, do="run again") from None
            raise


def _remote(root: str, options: Mapping[str, str]) -> tuple[pafs.FileSystem, str]:
    scheme, _, rest = root.partition("://")
    if scheme != "s3":
        raise MachineError(f"storage {scheme}:// is not supported", where=root, do="use a local path or s3://bucket/folder")
    endpoint = options.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT_URL")
    fs = pafs.S3FileSystem(
        endpoint_override=endpoint,
        region=options.get("AWS_REGION") or os.environ.get("AWS_REGION", "us-east-1"),
        access_key=options.get("AWS_ACCESS_KEY_ID"),
        secret_key=options.get("AWS_SECRET_ACCESS_KEY"),
        allow_delayed_open=True,  # a file of one part is one request, not three
    )
    return fs, rest


def _add_action(file: DataFile) -> AddAction:
    # The modification time is part of the log; a constant keeps "same inputs, same bytes".
    return AddAction(file.path, file.size, dict(file.partition), 0, True, json.dumps({"numRecords": file.rows}))


def _data_file(row: Mapping[str, Any], partition_by: Sequence[str]) -> DataFile:
    partition = {key: _text(row[f"partition.{key}"]) for key in partition_by}
    return DataFile(row["path"], partition, int(row["num_records"] or 0), int(row["size_bytes"]))


def _matching(table: DeltaTable, contract: TableContract, wanted: Mapping[str, str | Sequence[str]]) -> list[DataFile]:
    # pa.table() would do the same and import pandas, 0.3 s of every job.
    actions = pa.RecordBatchReader.from_stream(table.get_add_actions(flatten=True)).read_all().to_pylist()
    accept = {key: {value} if isinstance(value, str) else set(value) for key, value in wanted.items()}
    found = [_data_file(row, contract.partition_by) for row in actions]
    return sorted((f for f in found if all(f.partition[k] in v for k, v in accept.items())), key=lambda f: f.path)


def _filters(replace: Mapping[str, str | Sequence[str]]) -> list[tuple[str, str, Any]]:
    return [(key, "=", value) if isinstance(value, str) else (key, "in", sorted(value)) for key, value in replace.items()]


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, dt.date) else str(value)
