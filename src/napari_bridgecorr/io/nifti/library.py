"""The only importer of nibabel: headers as objects, voxel types, and boxes of stored voxels.

nibabel states no types, so that headers go by `Any` here; `header` says what their fields mean.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.spatialimages import HeaderDataError
from nibabel.spm2analyze import Spm2AnalyzeHeader

from ...errors import ReadError, one_line
from ..lazy import Block
from .file import ANALYZE, NiftiHead
from .header import MEND

__all__ = ["HeaderDataError", "StoredVoxels", "new_header", "parse_header", "stored_dtype"]

_HEADERS: dict[int, Any] = {1: Nifti1Header, 2: Nifti2Header}
_AnalyzeHeader: Any = Spm2AnalyzeHeader
_open_proxy: Any = ArrayProxy
_SCANNER = 1
_MILLIMETRES = 2


def new_header(version: int) -> Any:
    """An empty little-endian header of NIfTI-1 or NIfTI-2."""
    return _HEADERS[version](endianness="<")


def parse_header(head: NiftiHead) -> tuple[Any, list[str]]:
    """The header as an object with the fields of NIfTI, and what the user must know about it.

    What nibabel mends on opening a file is mended alike: negative voxel sizes and an impossible
    handedness of the qform.
    """
    if head.version == ANALYZE:
        return _from_analyze(head)
    header = _HEADERS[head.version](head.header, head.endianness, check=False)
    warnings = []
    sizes = header["pixdim"][1:4]
    if np.any(sizes < 0):
        header["pixdim"][1:4] = np.abs(sizes)
        warnings.append("the file states a negative voxel size: its sign is ignored")
    if header["pixdim"][0] not in (-1, 1):
        header["pixdim"][0] = 1
    return header, warnings


def _from_analyze(head: NiftiHead) -> tuple[Any, list[str]]:
    """An ANALYZE header (or SPM's, with its origin) as the NIfTI-2 header that says the same."""
    old = _AnalyzeHeader(head.header, head.endianness, check=False)
    with np.errstate(all="ignore"):
        old["pixdim"][1:4] = np.abs(old["pixdim"][1:4])
        affine = old.get_origin_affine()
        slope, inter = old.get_slope_inter()
    header = _HEADERS[2](endianness=head.endianness)
    # NIfTI kept ANALYZE's codes
    header["datatype"] = old["datatype"]
    header["dim"] = old["dim"]
    header["pixdim"] = old["pixdim"]
    header["pixdim"][0] = 1
    header["magic"] = b"ni2"
    offset = float(old["vox_offset"])
    # -1 is refused later on, with its reason
    header["vox_offset"] = int(offset) if abs(offset) < 2**62 else -1
    header["scl_slope"] = np.nan if slope is None else slope
    header["scl_inter"] = np.nan if inter is None else inter
    header["xyzt_units"] = _MILLIMETRES
    header["descrip"] = old["descrip"]
    header["sform_code"] = _SCANNER
    for row, name in enumerate(("srow_x", "srow_y", "srow_z")):
        header[name] = affine[row]
    warnings = [
        "an ANALYZE 7.5 file does not say which side is left: as usual its first voxel is taken "
        "to be on the right"
    ]
    matrix_file = head.data_path.with_suffix(".mat")
    if matrix_file.is_file():
        warnings.append(f"the position that SPM keeps in {matrix_file.name} is not read")
    return header, warnings


def stored_dtype(path: Path, header: Any) -> np.dtype[Any]:
    """Type of the voxels in the file, with its byte order.

    Raises
    ------
    ReadError
        If the type is unknown or has no equal here.
    """
    try:
        dtype: np.dtype[Any] = np.dtype(header.get_data_dtype())
    except (HeaderDataError, KeyError) as error:
        raise ReadError(path, f"has an unknown voxel type ({one_line(error)})", MEND) from error
    if dtype.names:
        if int(header["dim"][0]) >= 5 and int(header["dim"][5]) > 1:
            raise ReadError(path, "holds colours in several channels", "save one colour image")
    elif not (dtype.kind in "iuf" and 1 <= dtype.itemsize <= 8) and dtype.name not in _COMPLEX:
        raise ReadError(
            path, f"holds voxels of type {dtype}, which is not read here", "save it as float32"
        )
    return dtype


_COMPLEX = ("complex64", "complex128")


class StoredVoxels:
    """Voxels as the file holds them, box by box; serves several threads.

    Parameters
    ----------
    path : Path
        The file that the user named.
    data_path : Path
        The one that holds the voxels.
    sizes : 5 int
        Along i, j, k, time and the fifth axis.
    dtype : dtype
        Of the file, with its byte order.
    offset : int
        Byte at which the voxels begin.
    """

    def __init__(
        self,
        path: Path,
        data_path: Path,
        sizes: tuple[int, ...],
        dtype: np.dtype[Any],
        offset: int,
    ) -> None:
        self._path = path
        self.sizes = sizes
        self.dtype = dtype
        self._spec = (os.path.abspath(data_path), (sizes, dtype, offset, 1.0, 0.0))  # noqa: PTH100 - for workers elsewhere
        self._proxy: ArrayProxy | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_proxy": None}

    def read(self, key: tuple[slice, ...]) -> Block:
        """A box; ReadError where the file is damaged."""
        if self._proxy is None:
            # the proxy has a lock of its own and an index into compressed files, so one serves all
            self._proxy = _open_proxy(*self._spec, mmap=False)
        try:
            return np.asarray(self._proxy[key])
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise ReadError(
                self._path,
                f"is damaged: its pixels cannot be read ({one_line(error)})",
                "copy or download it again",
            ) from error
