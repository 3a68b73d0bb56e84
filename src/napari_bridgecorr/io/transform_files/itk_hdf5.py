"""ITK's HDF5 transform files (``.h5``), read by :mod:`.hdf5`."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np

from ...errors import ReadError, TransformError, one_line
from .hdf5 import Hdf5File
from .itk_records import ItkRecord, split_type

# ITK before 4.8 misspelt them
_PARAMETERS = ("TransformParameters", "TranformParameters")
_FIXED = ("TransformFixedParameters", "TranformFixedParameters")


def read_itk_hdf5(path: Path) -> list[ItkRecord]:
    """Every transform of a file, in the order of the file.

    Raises
    ------
    ReadError
    """
    try:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            return _records(Hdf5File(content))
    except TransformError as error:
        raise ReadError(
            path, f"it is damaged ({one_line(error)})", "export the transform again"
        ) from error
    except (OSError, ValueError) as error:
        raise ReadError(path, f"it cannot be opened ({one_line(error)})", "check it") from error


def _records(file: Hdf5File) -> list[ItkRecord]:
    top = file.links(file.root())
    if "TransformGroup" not in top:
        raise TransformError("it holds no transforms of ITK")
    members = file.links(top["TransformGroup"])
    if not members or not all(name.isdigit() and len(name) < 6 for name in members):
        raise TransformError("its transforms are not numbered")
    return [_record(file, members[name]) for name in sorted(members, key=int)]


def _record(file: Hdf5File, group: int) -> ItkRecord:
    parts = file.links(group)
    if "TransformType" not in parts:
        raise TransformError("a transform in it has no type")
    kind, dimensions = split_type(file.text(parts["TransformType"]))
    parameters, fixed = (
        next((file.numbers(parts[name]) for name in names if name in parts), None)
        for names in (_PARAMETERS, _FIXED)
    )
    if parameters is None and kind != "CompositeTransform":
        raise TransformError(f"{kind} has no parameters")
    nothing = np.empty(0)
    return ItkRecord(
        kind,
        dimensions,
        nothing if parameters is None else parameters,
        nothing if fixed is None else fixed.astype(np.float64),
    )
