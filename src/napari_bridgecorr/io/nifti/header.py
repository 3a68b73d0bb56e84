"""What a NIfTI header says: sizes, scaling, where the voxels are. No nibabel here.

The headers are nibabel's, of either version; they are used through their fields only, which both
versions share.
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ...errors import ReadError
from ...units import micrometres_per
from ..time_units import seconds_per

FloatArray = NDArray[np.float64]

MEND = "correct the header, or export the image again"
LABEL_INTENT = 1002
_LENGTH_UNITS = {1: "m", 2: "mm", 3: "um"}
_TIME_UNITS = {8: "s", 16: "ms", 24: "us"}


def array_sizes(path: Path, header: Any) -> tuple[int, int, int, int, int]:
    """Sizes i, j, k, t, dim5; those that the header leaves out are 1."""
    dim = [int(n) for n in header["dim"]]
    if not 1 <= dim[0] <= 7:
        raise ReadError(path, f"has an impossible number of dimensions ({dim[0]})", MEND)
    sizes = dim[1 : dim[0] + 1]
    if min(sizes) < 1:
        raise ReadError(path, f"has impossible sizes {tuple(sizes)}", MEND)
    if prod(sizes[5:]) > 1:
        raise ReadError(
            path, f"has {len(sizes)} dimensions {tuple(sizes)}", "split it into images of at most 5"
        )
    i, j, k, t, c = (sizes + [1] * 5)[:5]
    return i, j, k, t, c


def data_offset(path: Path, header: Any) -> int:
    """Byte at which the pixels begin; ReadError if that is impossible."""
    offset = float(header["vox_offset"])
    is_single = header["magic"].item().startswith(b"n+")
    least = header.sizeof_hdr if is_single else 0
    if is_single and offset == 0:
        # some writers leave it out; the standard's smallest is then meant
        return least + 4
    if not (np.isfinite(offset) and least <= offset < 2**62):
        raise ReadError(path, f"says that its pixels begin at byte {offset:g}", MEND)
    return int(offset)


def scaling(path: Path, header: Any, dtype: np.dtype[Any]) -> tuple[float, float] | None:
    """Slope and intercept, or None where the stored values are the values."""
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    if dtype.names or slope == 0 or not np.isfinite(slope) or (slope, inter) == (1.0, 0.0):
        return None
    if not np.isfinite(inter):
        raise ReadError(path, f"scales its values by {slope:g} and adds {inter:g}", MEND)
    return slope, inter


def affine_um(header: Any, sizes: tuple[int, ...]) -> tuple[FloatArray, list[str]]:
    """Our affine in um, and what the user must know about it."""
    warnings = []
    code = int(header["xyzt_units"]) & 7
    unit = _LENGTH_UNITS.get(code, "mm")
    if code not in _LENGTH_UNITS:
        warnings.append("the file does not state its unit of length: mm is assumed")
    has_sform, has_qform = int(header["sform_code"]) > 0, int(header["qform_code"]) > 0
    with np.errstate(all="ignore"):
        if has_sform:
            affine = np.asarray(header.get_sform(), dtype=np.float64)
            warnings += _disagreements(header, affine, sizes, has_qform)
        elif has_qform:
            affine = np.asarray(header.get_qform(), dtype=np.float64)
        else:
            affine = np.asarray(header.get_base_affine(), dtype=np.float64)
            warnings.append(
                "the file states neither position nor orientation (sform and qform codes are 0): "
                "the centre is put at 0 and left and right may be swapped"
            )
        return reversed_axes(affine, micrometres_per(unit)), warnings


def _disagreements(
    header: Any, sform: FloatArray, sizes: tuple[int, ...], has_qform: bool
) -> list[str]:
    """Warnings where the sform, which is used, contradicts the rest of the header."""
    voxel = np.linalg.norm(sform[:3, :3], axis=0)
    pixdim = np.asarray(header["pixdim"][1:4], dtype=np.float64)
    if not np.allclose(pixdim, voxel, rtol=0.01):
        stated = " x ".join(f"{size:.4g}" for size in pixdim)
        return [f"the voxel size stated beside the sform ({stated}) differs from it: sform used"]
    if not has_qform:
        return []
    try:
        qform = np.asarray(header.get_qform(), dtype=np.float64)
    except ValueError:
        return ["the file's qform is not a rotation: sform used"]
    corners = np.array([[i, j, k, 1] for i in (0, 1) for j in (0, 1) for k in (0, 1)], dtype=float)
    corners[:, :3] *= np.asarray(sizes[:3]) - 1
    apart = float(np.linalg.norm(corners @ (sform - qform).T, axis=1).max())
    # qform is stored as a float32 quaternion, so that equal ones differ by parts of a voxel
    if not apart <= 0.1 * voxel.min():
        return [
            f"sform and qform place the image differently (up to {apart / voxel.min():.3g} voxels):"
            f" sform used"
        ]
    return []


def reversed_axes(affine: FloatArray, scale: float) -> FloatArray:
    """Between (i, j, k) -> (R, A, S) and (iz, iy, ix) -> (z, y, x), times `scale`."""
    result = np.eye(4)
    result[:3, :3] = affine[2::-1, 2::-1] * scale
    result[:3, 3] = affine[2::-1, 3] * scale
    return result


def time_step_s(header: Any) -> float | None:
    """Seconds between time points where the header says so in a unit of time."""
    per_unit = seconds_per(_TIME_UNITS.get(int(header["xyzt_units"]) & 0x38, ""))
    step = float(header["pixdim"][4])
    return step * per_unit if per_unit and np.isfinite(step) and step > 0 else None


def header_metadata(header: Any, dtype: np.dtype[Any]) -> dict[str, Any]:
    """The rest of the header that may matter later, as plain values."""

    def text(name: str) -> str:
        return cast(bytes, header[name].item()).decode("latin-1").strip()

    intent = int(header["intent_code"])
    return {
        "sform_code": int(header["sform_code"]),
        "qform_code": int(header["qform_code"]),
        "descrip": text("descrip"),
        "intent_code": intent,
        "intent_name": text("intent_name"),
        "scl_slope": float(header["scl_slope"]),
        "scl_inter": float(header["scl_inter"]),
        "stored_dtype": dtype.name if not dtype.names else "rgb",
        "is_label": intent == LABEL_INTENT and dtype.kind in "iu",
    }
