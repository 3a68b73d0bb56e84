"""What a NIfTI header says: sizes, scaling, where the voxels are. No nibabel here.

The headers are nibabel's, of either version; they are used through their fields only, which both
versions share.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ...errors import GeometryError, ReadError
from ...geometry.anatomical import index_to_world_from_millimetres
from ...geometry.grid import check_affine
from ...image import MISSING_SCALE
from ...units import MICROMETRES_PER_MILLIMETRE, micrometres_per
from ..time_units import seconds_per

FloatArray = NDArray[np.float64]

MEND = "correct the header, or export the image again"
LABEL_INTENT = 1002
# 1005: an index into the table of NeuroNames
_LABEL_INTENTS = (LABEL_INTENT, 1005)
_VECTOR_INTENTS = {1006: "DISPVECT", 1007: "VECTOR"}
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


@dataclass(frozen=True)
class VoxelPlaces:
    """Where the header puts the voxels.

    Parameters
    ----------
    affine_um : (4, 4) float64
        From (iz, iy, ix) to (z, y, x).
    voxel_size_known : (bool, bool, bool)
        Along z, y, x.
    warnings : tuple of str
    """

    affine_um: FloatArray
    voxel_size_known: tuple[bool, bool, bool]
    warnings: tuple[str, ...]


def place_voxels(header: Any, sizes: tuple[int, ...]) -> VoxelPlaces:
    """The affine of the sform, else of the qform, else of the voxel sizes, as nibabel chooses.

    A sform that squashes the volume flat (as one of zeros) gives way to the qform.

    Raises
    ------
    ValueError or HeaderDataError
        If the qform is needed and is no rotation.
    """
    code = int(header["xyzt_units"]) & 7
    unit = _LENGTH_UNITS.get(code, "mm")
    warnings = []
    if code not in _LENGTH_UNITS:
        warnings.append("the file does not state its unit of length: mm is assumed")
    has_sform, has_qform = int(header["sform_code"]) > 0, int(header["qform_code"]) > 0
    unknown = ""
    with np.errstate(all="ignore"):
        sform = np.asarray(header.get_sform(), dtype=np.float64)
        if has_sform and has_qform and _is_flat(sform):
            has_sform = False
            warnings.append("the file's sform is no place in space: qform used")
        if has_sform:
            affine = sform
            warnings += _disagreements(header, affine, sizes, has_qform)
        else:
            unknown = _fill_voxel_sizes(header, sizes)
            if unknown:
                warnings.append(
                    f"{MISSING_SCALE} along {', '.join(unknown)} in the file: 1 {unit} is "
                    f"assumed; state it with --spacing z,y,x"
                )
            if has_qform:
                affine = np.asarray(header.get_qform(), dtype=np.float64)
            else:
                affine = np.asarray(header.get_base_affine(), dtype=np.float64)
                warnings.append(
                    "the file states neither position nor orientation (sform and qform codes are "
                    "0): the centre is put at 0 and left and right may be swapped"
                )
        millimetres = affine.copy()
        if unit != "mm":
            millimetres[:3] *= micrometres_per(unit) / MICROMETRES_PER_MILLIMETRE
        place = index_to_world_from_millimetres(millimetres, "RAS")
    z, y, x = (axis not in unknown for axis in "zyx")
    return VoxelPlaces(place, (z, y, x), tuple(warnings))


def _is_flat(affine: FloatArray) -> bool:
    try:
        check_affine(affine)
    except GeometryError:
        return True
    return False


def _fill_voxel_sizes(header: Any, sizes: tuple[int, ...]) -> str:
    """Turn voxel sizes of 0 into 1, as nibabel does; the axes (of ``zyx``) where that matters."""
    missing = [float(size) == 0 for size in header["pixdim"][1:4]]
    unknown = ""
    for number, axis in reversed([*enumerate("xyz")]):
        if missing[number]:
            header["pixdim"][number + 1] = 1
            unknown += axis if sizes[number] > 1 else ""
    return unknown


def _disagreements(
    header: Any, sform: FloatArray, sizes: tuple[int, ...], has_qform: bool
) -> list[str]:
    """Warnings where the sform, which is used, contradicts the rest of the header."""
    voxel = np.linalg.norm(sform[:3, :3], axis=0)
    pixdim = np.asarray(header["pixdim"][1:4], dtype=np.float64)
    # a size of 0 is none, and that of a single plane says nothing
    said = (pixdim != 0) & (np.asarray(sizes[:3]) > 1)
    if not np.allclose(pixdim[said], voxel[said], rtol=0.01):
        stated, used = (" x ".join(f"{size:.4g}" for size in three) for three in (pixdim, voxel))
        return [
            f"the voxel size stated beside the sform ({stated}) differs from the sform's ({used}): "
            f"sform used"
        ]
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
        "stored_dtype": "".join(dtype.names).lower() if dtype.names else dtype.name,
        "is_label": is_label(header, dtype),
    }


def is_label(header: Any, dtype: np.dtype[Any]) -> bool:
    """Whether the file says that its values name objects."""
    return int(header["intent_code"]) in _LABEL_INTENTS and dtype.kind in "iuf"


def intent_warnings(header: Any, dtype: np.dtype[Any]) -> list[str]:
    """What the user must know of what the values mean."""
    intent = int(header["intent_code"])
    if dtype.kind == "c":
        return ["the file holds complex numbers: magnitude and phase are shown as two channels"]
    if intent in _VECTOR_INTENTS and int(header["dim"][0]) >= 5 and int(header["dim"][5]) > 1:
        return [
            f"the file holds vectors (intent {_VECTOR_INTENTS[intent]}), each component shown as a "
            f"channel: if it is a deformation, give it as a transform, not as an image"
        ]
    return []
