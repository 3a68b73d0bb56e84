"""NIfTI-1 and NIfTI-2 in and out. The only importer of nibabel.

World x, y, z = 1000 x (R, A, S) of the file's sform or qform, listed (z, y, x). The file's array
axes (i, j, k) are our (x, y, z), so an affine turns into ours by reversing both its rows and its
columns.
"""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from math import prod
from pathlib import Path
from typing import Any, cast

import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.spatialimages import HeaderDataError

from ...errors import GeometryError, ReadError, WriteError, one_line
from ...geometry import Grid
from ...image import Channel, Source, SpatialImage
from ...progress import Progress, Silent
from ...units import MICROMETRES_PER_MILLIMETRE
from ..atomic import replacing
from ..blocks import compute, z_slabs
from ..lazy import Block, Shape5, lazy_array, plane_chunks
from ..reader import Claim
from .file import NiftiHead, is_compressed, read_nifti_head, require_complete
from .header import (
    LABEL_INTENT,
    MEND,
    FloatArray,
    affine_um,
    array_sizes,
    data_offset,
    header_metadata,
    reversed_axes,
    scaling,
    time_step_s,
)

_ALIGNED = 2
_LARGEST_NIFTI1_SIZE = 32767
_MARK = b"bridgecorr "
_SAMPLE_COLOURS = {"R": "#FF0000", "G": "#00FF00", "B": "#0000FF", "A": None}
# nibabel states no types for these
_HEADERS: dict[int, Any] = {1: Nifti1Header, 2: Nifti2Header}
_open_proxy: Any = ArrayProxy
_SILENT = Silent()


class NiftiReader:
    """Reader of NIfTI-1 and NIfTI-2 files (see :class:`~.reader.Reader`)."""

    format_name = "NIfTI"
    patterns = ("*.nii", "*.nii.gz", "*.hdr", "*.img", "*.hdr.gz", "*.img.gz")

    def claim(self, path: Path) -> Claim:
        """Claim by name; a .hdr or .img, which other formats use too, by its content as well."""
        if path.is_dir():
            return Claim(False, "it is a folder")
        name = path.name.lower().removesuffix(".gz")
        if name.endswith(".nii"):
            return Claim(True, "the name ends in .nii or .nii.gz")
        if not name.endswith((".hdr", ".img")):
            return Claim(False, "the name does not end in .nii, .nii.gz, .hdr or .img")
        try:
            read_nifti_head(path)
        except ReadError as error:
            return Claim(False, error.fault)
        return Claim(True, "the header is a NIfTI header")

    def read(self, path: Path) -> tuple[SpatialImage, ...]:
        """The file's one image, lazily.

        Raises
        ------
        ReadError
            If the file is damaged, truncated, empty, mislabelled or absurd.
        """
        head = read_nifti_head(path)
        header_class = _HEADERS[head.version]
        header = header_class(head.header, head.endianness, check=False)
        sizes = array_sizes(path, header)
        dtype = _stored_dtype(path, header)
        offset = data_offset(path, header)
        require_complete(head.data_path, offset + prod(sizes) * dtype.itemsize)
        try:
            matrix, warnings = affine_um(header, sizes)
            grid = Grid((sizes[2], sizes[1], sizes[0]), matrix)
        except (GeometryError, HeaderDataError, ValueError) as error:
            raise ReadError(
                path, f"has an impossible geometry ({one_line(error)})", MEND
            ) from error
        pixels = _Pixels(path, head.data_path, sizes, dtype, offset, scaling(path, header, dtype))
        notes = _our_notes(head)
        if _is_rounding(grid.index_to_world, notes.get("index_to_world")):
            grid = Grid(grid.shape, np.asarray(notes["index_to_world"], dtype=np.float64))
        data = lazy_array(
            pixels.shape,
            pixels.dtype,
            plane_chunks(pixels.shape, pixels.dtype.itemsize),
            pixels.read,
        )
        image = SpatialImage(
            levels=(data,),
            grids=(grid,),
            channels=_channels(pixels, notes),
            source=Source(
                path=path, format=f"NIfTI-{head.version}", axes=_axes(header, pixels.shape)
            ),
            time_step_s=time_step_s(header) if sizes[3] > 1 else None,
            metadata=header_metadata(header, dtype),
            warnings=tuple(warnings),
        )
        return (image,)


class _Pixels:
    """Reads boxes of the pixels; scales them, unpacks RGB and turns the axes around.

    `shape` and `dtype` are of the 5-D ``(t, c, z, y, x)`` result.
    """

    def __init__(
        self,
        path: Path,
        data_path: Path,
        sizes: tuple[int, ...],
        stored: np.dtype[Any],
        offset: int,
        scaling: tuple[float, float] | None,
    ) -> None:
        self._path = path
        self._spec = (str(data_path), (sizes, stored, offset, 1.0, 0.0))
        self._proxy: ArrayProxy | None = None
        self._scaling = scaling
        self.samples: tuple[str, ...] = stored.names or ()
        self.dtype: np.dtype[Any]
        if self.samples:
            self.dtype = np.dtype(np.uint8)
        elif scaling is None:
            self.dtype = stored.newbyteorder("=")
        else:
            # float32 holds 8 and 16 bit integers exactly; wider ones need float64
            small = (stored.kind in "iu" and stored.itemsize <= 2) or stored == np.float32
            self.dtype = np.dtype(np.float32 if small else np.float64)
        x, y, z, t, c = sizes
        self.shape: Shape5 = (t, c * max(1, len(self.samples)), z, y, x)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_proxy": None}

    def read(self, starts: tuple[int, ...], stops: tuple[int, ...]) -> Block:
        t, c, z, y, x = (slice(a, b) for a, b in zip(starts, stops, strict=True))
        stored = self._stored((x, y, z, t, slice(0, 1) if self.samples else c))
        if self.samples:
            stored = np.concatenate([stored[name] for name in self.samples[c]], axis=-1)
        elif self._scaling is not None:
            slope, inter = self._scaling
            with np.errstate(over="ignore", invalid="ignore"):
                stored = (stored.astype(np.float64) * slope + inter).astype(self.dtype)
        return stored.transpose(3, 4, 2, 1, 0).astype(self.dtype, copy=False)

    def _stored(self, key: tuple[slice, ...]) -> Block:
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


def write_nifti(image: SpatialImage, path: Path, progress: Progress = _SILENT) -> None:
    """Write the full-resolution level, slab by slab.

    The sform is the grid's affine in mm with code 2 (aligned: after registration the position is
    that of the partner's space, not of the scanner); the qform says the same where the axes are
    orthogonal and is switched off elsewhere, because it cannot hold shears. NIfTI-1 stores float32
    only, so a comment in the header keeps the exact affine, which our reader uses while the sform
    agrees with it. NIfTI-2 is chosen where a size exceeds 32767.

    Parameters
    ----------
    image : SpatialImage
        Time goes to the fourth dimension, channels to the fifth.
    path : Path
        Ends in ``.nii`` or ``.nii.gz``.
    progress : Progress
        One step per slab.

    Raises
    ------
    WriteError
        If the name or the voxel type does not fit NIfTI, or the disk refuses.
    """
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        raise WriteError(path, "is no NIfTI name", "let it end in .nii or .nii.gz")
    dtype = _written_dtype(image, path)
    head = _head_bytes(image, dtype)
    slabs = z_slabs(image.data)
    times, n_channels = image.data.shape[:2]
    progress.begin(f"Writing {path.name}", times * n_channels * len(slabs))
    with replacing(path) as temporary, temporary.open("wb") as raw:
        file = (
            # no time stamp or name: the same image gives the same bytes
            gzip.GzipFile(filename="", mode="wb", compresslevel=4, fileobj=raw, mtime=0)
            if is_compressed(path)
            else raw
        )
        file.write(head)
        for channel in range(n_channels):
            for time in range(times):
                for start, stop in slabs:
                    slab = compute(image.data[time, channel, start:stop])
                    file.write(np.ascontiguousarray(slab, dtype=dtype).data)
                    progress.advance()
        if file is not raw:
            file.close()


def _written_dtype(image: SpatialImage, path: Path) -> np.dtype[Any]:
    dtype = image.dtype
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    if dtype == np.float16:
        return np.dtype("<f4")
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise WriteError(path, f"NIfTI is not written with {dtype} voxels", "convert them to float")
    return dtype.newbyteorder("<")


def _head_bytes(image: SpatialImage, dtype: np.dtype[Any]) -> bytes:
    """Header, extension flag and one extension."""
    t, c, z, y, x = image.data.shape
    sizes = [x, y, z] + ([t] if t > 1 or c > 1 else []) + ([c] if c > 1 else [])
    is_small = max(sizes) <= _LARGEST_NIFTI1_SIZE
    header = _HEADERS[1 if is_small else 2](endianness="<")
    header.set_data_dtype(dtype)
    header.set_data_shape(sizes)
    zooms = [*reversed(image.grid.voxel_size_um)]
    zooms = [size / MICROMETRES_PER_MILLIMETRE for size in zooms]
    header.set_zooms([*zooms, image.time_step_s or 0.0, 1.0][: len(sizes)])
    header.set_xyzt_units("mm", "sec")
    affine_mm = reversed_axes(image.grid.index_to_world, 1 / MICROMETRES_PER_MILLIMETRE)
    header.set_sform(affine_mm, _ALIGNED)
    directions = affine_mm[:3, :3] / np.linalg.norm(affine_mm[:3, :3], axis=0)
    if np.allclose(directions.T @ directions, np.eye(3), atol=1e-6):
        header.set_qform(affine_mm, _ALIGNED)
    else:
        header["qform_code"] = 0
    header.set_slope_inter(1.0, 0.0)
    if image.metadata.get("is_label") and dtype.kind in "iu":
        header["intent_code"] = LABEL_INTENT
    header["descrip"] = b"napari-bridgecorr"
    note = {
        "index_to_world": image.grid.index_to_world.tolist(),
        "channels": [{"name": ch.name, "colour": ch.colour} for ch in image.channels],
    }
    content = _MARK + json.dumps(note).encode("ascii")
    content += b"\0" * (-(len(content) + 8) % 16)
    extension = struct.pack("<ii", len(content) + 8, 6) + content
    header["vox_offset"] = header.sizeof_hdr + 4 + len(extension)
    return cast(bytes, header.binaryblock) + b"\1\0\0\0" + extension


def _stored_dtype(path: Path, header: Any) -> np.dtype[Any]:
    """Type of the voxels in the file, with its byte order."""
    try:
        dtype: np.dtype[Any] = np.dtype(header.get_data_dtype())
    except (HeaderDataError, KeyError) as error:
        raise ReadError(path, f"has an unknown voxel type ({one_line(error)})", MEND) from error
    if dtype.kind == "c":
        raise ReadError(path, "holds complex numbers", "save their magnitude or phase instead")
    if dtype.names:
        if int(header["dim"][0]) >= 5 and int(header["dim"][5]) > 1:
            raise ReadError(path, "holds colours in several channels", "save one colour image")
    elif dtype.kind not in "iuf" or not 1 <= dtype.itemsize <= 8:
        raise ReadError(
            path, f"holds voxels of type {dtype}, which is not read here", "save it as float32"
        )
    return dtype


def _axes(header: Any, shape: Shape5) -> str:
    has_z = int(header["dim"][0]) >= 3
    return ("t" if shape[0] > 1 else "") + ("c" if shape[1] > 1 else "") + ("z" * has_z) + "yx"


def _channels(pixels: _Pixels, notes: dict[str, Any]) -> tuple[Channel, ...]:
    if pixels.samples:
        return tuple(Channel(name, _SAMPLE_COLOURS.get(name)) for name in pixels.samples)
    noted = notes.get("channels")
    if isinstance(noted, list) and len(noted) == pixels.shape[1]:
        try:
            return tuple(Channel(str(ch["name"]), ch["colour"]) for ch in noted)
        except (KeyError, TypeError):
            pass  # somebody else's comment: the names below serve
    return tuple(Channel(f"C{number}") for number in range(pixels.shape[1]))


def _our_notes(head: NiftiHead) -> dict[str, Any]:
    """What :func:`write_nifti` left in the header's comment, or nothing."""
    for comment in head.comments:
        if comment.startswith(_MARK):
            try:
                notes = json.loads(comment[len(_MARK) :])
            except ValueError:
                return {}
            return notes if isinstance(notes, dict) else {}
    return {}


def _is_rounding(stored: FloatArray, exact: Any) -> bool:
    """Whether `stored` is `exact` to float32: if not, another program has moved the image since."""
    try:
        matrix = np.asarray(exact, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    return matrix.shape == (4, 4) and np.allclose(stored, matrix, rtol=1.5e-7, atol=1e-30)
