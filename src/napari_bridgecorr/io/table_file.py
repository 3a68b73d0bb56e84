"""Voxel tables as files: Parquet, and CSV on request. The only importer of pyarrow."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..errors import ReadError, WriteError, one_line
from ..progress import Progress, Silent
from ..voxels import VoxelTable
from .atomic import replacing, write_text

_METADATA_KEY = b"bridgecorr"
_SAMPLE_ROWS = 4_000_000
_ENDINGS = (".parquet", ".csv", ".csv.gz")


def check_table_path(path: Path) -> None:
    """Raise WriteError unless a table can stand there: .parquet, .csv or .csv.gz in a folder."""
    if not path.name.lower().endswith(_ENDINGS):
        raise WriteError(
            path, "a voxel table is written as Parquet or CSV", "end its name in .parquet or .csv"
        )
    if path.is_dir():
        raise WriteError(path, "a folder of this name exists", "choose another name")
    if not path.parent.is_dir():
        raise WriteError(path, "its folder does not exist", "create the folder first")


def write_table(
    table: VoxelTable,
    path: Path,
    metadata: Mapping[str, Any],
    progress: Progress | None = None,
) -> int:
    """Write all rows, slab by slab; returns their number.

    Parameters
    ----------
    table : VoxelTable
    path : Path
        ``.parquet``, ``.csv`` or ``.csv.gz``.
    metadata : mapping
        Plain values (session, versions, options). They go into the Parquet file's metadata under
        ``bridgecorr`` with the columns' meanings and the sampling error; for CSV into
        ``<path>.json`` beside it.
    progress : Progress, optional

    Raises
    ------
    WriteError
        If the name's ending is unknown or the file cannot be written.
    """
    progress = progress or Silent()
    check_table_path(path)
    columns = table.columns()
    slabs = len(table.slabs())
    progress.begin("voxel table", slabs)
    document = json.dumps(
        {
            **metadata,
            "columns": {c.name: c.description for c in columns},
            "channel_columns": table.channel_columns(),
            "sampling": table.sampling(),
        }
    )
    schema = pa.schema(
        [pa.field(c.name, pa.from_numpy_dtype(c.dtype.newbyteorder("="))) for c in columns],
        metadata={_METADATA_KEY: document.encode()},
    )
    n_rows = 0
    with replacing(path) as temporary:
        with _open_writer(temporary, schema) as writer:
            for rows in table.rows():
                arrays = [_native(rows[c.name]) for c in columns]
                writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
                n_rows += len(rows["index"])
                progress.advance()
        if not path.name.lower().endswith(".parquet"):
            write_text(path.with_name(path.name + ".json"), document + "\n")
    return n_rows


def _open_writer(path: Path, schema: pa.Schema) -> Any:
    name = path.name.lower()
    if name.endswith(".parquet"):
        return pq.ParquetWriter(path, schema, compression="zstd")
    if name.endswith(".gz"):
        return pacsv.CSVWriter(pa.CompressedOutputStream(str(path), "gzip"), schema)
    return pacsv.CSVWriter(str(path), schema)


def _native(values: NDArray[Any]) -> pa.Array:
    native = values.astype(values.dtype.newbyteorder("="), copy=False)
    return pa.array(np.ascontiguousarray(native))


def read_table(
    path: Path, columns: Sequence[str] | None = None, *, sample: bool = False
) -> tuple[dict[str, NDArray[Any]], int]:
    """Columns of a Parquet voxel table as 1-D arrays, and the number of rows in the file.

    Parameters
    ----------
    path : Path
    columns : sequence of str, optional
        All by default.
    sample : bool
        Of a table of more than four million rows take evenly spread row groups only, so that
        memory stays bounded.

    Raises
    ------
    ReadError
        If the file is not such a table or lacks a column.
    """
    try:
        with pq.ParquetFile(path) as file:
            missing = set(columns or ()) - set(file.schema_arrow.names)
            if missing:
                raise ReadError(path, f"it has no column {sorted(missing)}", "check the name")
            n_rows = int(file.metadata.num_rows)
            groups = range(file.num_row_groups)
            if sample and n_rows > _SAMPLE_ROWS:
                groups = groups[:: -(-n_rows // _SAMPLE_ROWS)]
            table = file.read_row_groups(list(groups), columns=columns)
    except (OSError, pa.ArrowException) as error:
        raise _not_a_table(path, error) from error
    return {name: table.column(name).to_numpy() for name in table.column_names}, n_rows


def table_metadata(path: Path) -> dict[str, Any]:
    """The ``bridgecorr`` metadata of a Parquet voxel table.

    Raises
    ------
    ReadError
        If the file is not a voxel table of ours.
    """
    try:
        found = (pq.read_schema(path).metadata or {}).get(_METADATA_KEY)
        if found is not None:
            document: dict[str, Any] = json.loads(found)
            return document
    except (OSError, pa.ArrowException, json.JSONDecodeError) as error:
        raise _not_a_table(path, error) from error
    raise ReadError(path, "it is a Parquet file but not a voxel table", "give a table of ours")


def _not_a_table(path: Path, error: Exception) -> ReadError:
    return ReadError(path, f"not a readable Parquet table ({one_line(error)})", "write it again")
