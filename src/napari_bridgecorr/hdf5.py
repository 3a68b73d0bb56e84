"""The only file that imports h5py. It runs in a helper process.

The HDF5 library ends the interpreter on some three in a hundred damaged files. It also follows
links out of the file, and fills numbers that were never written with zeros: what would need that is
refused before it is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from .errors import one_line
from .helper_process import Answer, HelperFault, serve

_LARGEST_BYTES = 2**33
_HELPER_BYTES = _LARGEST_BYTES + 2**31
_MOST_CHUNKS = 2**20
_MOST_TRANSFORMS = 4096
# a deflate stream expands at most 1032-fold (zlib's technical notes)
_DEFLATE_RATIO = 1032
# a virtual dataset is made of other files
_LAYOUTS = (h5py.h5d.COMPACT, h5py.h5d.CONTIGUOUS, h5py.h5d.CHUNKED)
# ITK before 4.8 misspelt them
_PARAMETERS = ("TransformParameters", "TranformParameters")
_FIXED = ("TransformFixedParameters", "TranformFixedParameters")


def serve_itk_transforms() -> None:
    """Answer ITK's transform files: the helper process's main loop; see :func:`itk_transforms`."""
    serve(itk_transforms, _HELPER_BYTES)


def itk_transforms(path: Path) -> Answer:
    """Types of ITK's transforms in the file's order; of each the parameters and fixed parameters.

    Raises
    ------
    HelperFault
    """
    try:
        with h5py.File(path, "r", locking=False) as file:
            return _transforms(file, path.stat().st_size)
    # h5py turns the library's errors into whatever it finds fitting
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise HelperFault(one_line(error)[:200]) from error


def _transforms(file: Any, file_bytes: int) -> Answer:
    top = _member(file, "TransformGroup")
    names = [] if top is None else list(top)
    if not names:
        raise HelperFault("it holds no transforms of ITK")
    if len(names) > _MOST_TRANSFORMS or set(names) != {str(n) for n in range(len(names))}:
        raise HelperFault("its transforms are not numbered")
    kinds: list[str] = []
    arrays: list[NDArray[Any]] = []
    for name in sorted(names, key=int):
        group = _member(top, name)
        kind = _text(_member(group, "TransformType"))
        parameters = _numbers(group, _PARAMETERS, file_bytes)
        if parameters is None and not kind.startswith("CompositeTransform"):
            raise HelperFault(f"{kind[:80]} has no parameters")
        fixed = _numbers(group, _FIXED, file_bytes)
        kinds.append(kind)
        arrays += [np.empty(0) if array is None else array for array in (parameters, fixed)]
    return kinds, arrays


def _member(group: Any, name: str) -> Any:
    """What a group holds in this very file; None if it has no such name."""
    link = group.get(name, getlink=True)
    if link is None:
        return None
    if not isinstance(link, h5py.HardLink):
        raise HelperFault("a part of it is a link to elsewhere")
    return group[name]


def _text(dataset: Any) -> str:
    if dataset is None:
        raise HelperFault("a transform in it has no type")
    _require_own(dataset)
    if dataset.size != 1 or dataset.dtype.kind not in "OS" or dataset.dtype.itemsize > 2**16:
        raise HelperFault("a name in it is no text")
    value = np.ravel(dataset[()])[0]
    if not isinstance(value, bytes):
        raise HelperFault("a name in it is no text")
    return value.decode("utf-8", "replace")


def _numbers(group: Any, names: tuple[str, str], file_bytes: int) -> NDArray[Any] | None:
    dataset = next((d for d in (_member(group, name) for name in names) if d is not None), None)
    if dataset is None:
        return None
    _require_own(dataset)
    dtype = dataset.dtype
    if dataset.shape is None:
        return np.empty(0)
    if dtype.kind != "f" or dtype.itemsize not in (4, 8) or len(dataset.shape) != 1:
        raise HelperFault("its parameters are not floating-point numbers")
    count = dataset.shape[0]
    if count * dtype.itemsize > min(_LARGEST_BYTES, _DEFLATE_RATIO * file_bytes):
        raise HelperFault(f"it announces {count} numbers, more than it can hold")
    if count:
        _require_written(dataset)
    values = np.empty(count, dtype.newbyteorder("="))
    if count:
        dataset.read_direct(values)
    return values


def _require_own(dataset: Any) -> None:
    """Refuse what is no dataset, or takes its data from other files."""
    if not isinstance(dataset, h5py.Dataset):
        raise HelperFault("a part of it is no dataset")
    plan = dataset.id.get_create_plist()
    if plan.get_layout() not in _LAYOUTS or plan.get_external_count():
        raise HelperFault("a part of it is a link to elsewhere")


def _require_written(dataset: Any) -> None:
    """Refuse numbers that the library would make up: it looks every chunk up as reading does."""
    layout = dataset.id.get_create_plist().get_layout()
    if layout == h5py.h5d.CONTIGUOUS and dataset.id.get_offset() is None:
        raise HelperFault("a dataset in it was never written")
    if layout == h5py.h5d.CHUNKED:
        (length,), (step,) = dataset.shape, dataset.chunks
        if -(-length // step) > _MOST_CHUNKS or step > 2 * max(length, 2**16):
            raise HelperFault("the pieces of a dataset in it are damaged")
        for start in range(0, length, step):
            try:
                dataset.id.read_direct_chunk((start,))
            except RuntimeError as error:
                raise HelperFault("pieces of a dataset in it are missing") from error
