"""NIfTI out: slab by slab, obliques and shears kept exactly, labels as labels."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path
from typing import Any, cast

import numpy as np

from ...errors import WriteError
from ...geometry.anatomical import index_to_millimetres
from ...image import SpatialImage
from ...progress import Progress, Silent
from ...units import MICROMETRES_PER_MILLIMETRE
from ..atomic import replacing
from ..blocks import compute, z_slabs
from .file import is_compressed
from .header import LABEL_INTENT
from .library import new_header
from .notes import MARK

_ALIGNED = 2
_LARGEST_NIFTI1_SIZE = 32767
_SILENT = Silent()


def write_nifti(image: SpatialImage, path: Path, progress: Progress = _SILENT) -> None:
    """Write the full-resolution level, slab by slab.

    The sform is the grid's affine in mm with code 2 (aligned: after registration the position is
    that of the partner's space, not of the scanner); the qform says the same where the axes are
    orthogonal and is switched off elsewhere, because it cannot hold shears. NIfTI-1 stores float32
    only, so a comment in the header keeps the exact affine, which our reader uses while the sform
    agrees with it. NIfTI-2 is chosen where a size exceeds 32767. Labels are written as integers
    with the intent LABEL; nothing is ever scaled.

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
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise WriteError(path, f"NIfTI is not written with {dtype} voxels", "convert them to float")
    if dtype == np.float16:
        return np.dtype("<f4")
    return dtype.newbyteorder("<")


def _head_bytes(image: SpatialImage, dtype: np.dtype[Any]) -> bytes:
    """Header, extension flag and one extension."""
    t, c, z, y, x = image.data.shape
    sizes = [x, y, z] + ([t] if t > 1 or c > 1 else []) + ([c] if c > 1 else [])
    is_small = max(sizes) <= _LARGEST_NIFTI1_SIZE
    header = new_header(1 if is_small else 2)
    header.set_data_dtype(dtype)
    header.set_data_shape(sizes)
    zooms = [*reversed(image.grid.voxel_size_um)]
    zooms = [size / MICROMETRES_PER_MILLIMETRE for size in zooms]
    header.set_zooms([*zooms, image.time_step_s or 0.0, 1.0][: len(sizes)])
    header.set_xyzt_units("mm", "sec")
    affine_mm = index_to_millimetres(image.grid.index_to_world, "RAS")
    header.set_sform(affine_mm, _ALIGNED)
    directions = affine_mm[:3, :3] / np.linalg.norm(affine_mm[:3, :3], axis=0)
    if np.allclose(directions.T @ directions, np.eye(3), atol=1e-6):
        header.set_qform(affine_mm, _ALIGNED)
    else:
        header["qform_code"] = 0
    header.set_slope_inter(1.0, 0.0)
    if image.is_labels:
        header["intent_code"] = LABEL_INTENT
    header["descrip"] = b"napari-bridgecorr"
    note = {
        "index_to_world": image.grid.index_to_world.tolist(),
        "channels": [{"name": ch.name, "colour": ch.colour} for ch in image.channels],
    }
    content = MARK + json.dumps(note).encode("ascii")
    content += b"\0" * (-(len(content) + 8) % 16)
    extension = struct.pack("<ii", len(content) + 8, 6) + content
    header["vox_offset"] = header.sizeof_hdr + 4 + len(extension)
    return cast(bytes, header.binaryblock) + b"\1\0\0\0" + extension
