"""Displacement fields as images of vectors: ANTs' ``1Warp.nii.gz``, Slicer's NIfTI and NRRD.

The images' own readers say where the voxels are and give the components as channels. The vectors
are in mm: LPS, but RAS where a NIfTI file calls them displacements (intent 1006), as ITK 5.3 does.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ...errors import ReadError
from ...geometry import Grid
from ...geometry.anatomical import AnatomicalFrame, points_from_millimetres
from ...image import SpatialImage
from ...transform import DisplacementField
from ..registry import open_images
from .itk_maps import FLAT_SPACING_UM, FLAT_WARNING, MOST_VECTORS, OUTSIDE_WARNING
from .itk_records import LARGEST_MM
from .transform_file import TransformFile

_NIFTI_DISPLACEMENT, _NIFTI_VECTOR = 1006, 1007
_NIFTI_ENDINGS = (".nii", ".nii.gz")
_SLAB_BYTES = 32 * 2**20


def is_displacement(path: Path) -> bool:
    """Whether an image file holds vectors. Never raises.

    A NIfTI file says so itself; in NRRD and MetaImage files, three floating-point values a voxel
    (two in a flat image) are vectors, since colours are integers.
    """
    if path.name.lower().endswith(_NIFTI_ENDINGS) and not _intends_vectors(path):
        return False  # most images: known without opening them as such
    try:
        images = open_images(path)
    except ReadError:
        return False
    return len(images) == 1 and _fault(images[0], path) is None


def _intends_vectors(path: Path) -> bool:
    """Whether a NIfTI header, of either version and byte order, states an intent of vectors."""
    opener: Any = gzip.open if path.name.lower().endswith(".gz") else Path.open
    try:
        with opener(path, "rb") as file:
            head = file.read(540)
    except (OSError, EOFError, zlib.error):
        return False
    orders: tuple[Literal["little", "big"], ...] = ("little", "big")
    codes = {int.from_bytes(head[68:70], order) for order in orders}
    codes |= {int.from_bytes(head[504:508], order) for order in orders}
    return not codes.isdisjoint((_NIFTI_VECTOR, _NIFTI_DISPLACEMENT))


def _fault(image: SpatialImage, path: Path) -> str | None:
    """Why an image is no displacement field; None if it is one."""
    times, components, depth = image.data.shape[:3]
    if image.dtype.kind != "f":
        return f"its values are {image.dtype}, not floating-point"
    if path.name.lower().endswith(_NIFTI_ENDINGS):
        intent = image.metadata.get("intent_code")
        if intent not in (_NIFTI_VECTOR, _NIFTI_DISPLACEMENT):
            return f"its intent code is {intent}, not {_NIFTI_VECTOR} (vectors)"
    if times != 1 or not (components == 3 or (components == 2 and depth == 1)):
        return f"it has {components} values a voxel and {times} times, no vector field has"
    return None


def read_vector_image(path: Path) -> TransformFile:
    """A displacement field.

    Raises
    ------
    ReadError
    """
    image = open_images(path)[0]
    fault = _fault(image, path)
    if fault is not None:
        raise ReadError(path, f"it is no displacement field ({fault})", "check the file")
    if image.grid.n_voxels > MOST_VECTORS:
        raise ReadError(path, f"it has {image.grid.n_voxels} vectors", "sample it more coarsely")
    components = image.data.shape[1]
    # that it holds vectors is no surprise here
    about_place = [w for w in image.warnings if not w.startswith("the file holds vectors")]
    warnings = [*about_place, OUTSIDE_WARNING]
    is_ras = image.metadata.get("intent_code") == _NIFTI_DISPLACEMENT
    field = DisplacementField(
        image.grid if components == 3 else _flat(image.grid),
        _displacements_um(image, path, "RAS" if is_ras else "LPS"),
    )
    if components == 2:
        warnings.append(FLAT_WARNING)
    return TransformFile(
        field,
        dimensions=components,
        format=f"displacement field ({image.source.format})",
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _flat(grid: Grid) -> Grid:
    """A field of flat images holds for every z."""
    matrix = grid.index_to_world.copy()
    matrix[:, 0] = (FLAT_SPACING_UM, 0, 0, 0)
    return Grid(grid.shape, matrix)


def _displacements_um(image: SpatialImage, path: Path, frame: AnatomicalFrame) -> np.ndarray:
    """(3, z, y, x), read slab by slab so that only the result is held whole."""
    n_components, depth, height, width = image.data.shape[1:]
    dtype = np.dtype(np.float32 if image.dtype.itemsize <= 4 else np.float64)
    out = np.zeros((3, depth, height, width), dtype=dtype)
    scale = points_from_millimetres(np.eye(3), frame)
    step = max(1, _SLAB_BYTES // max(1, 3 * height * width * dtype.itemsize))
    for start in range(0, depth, step):
        stop = min(start + step, depth)
        slab = image.read(0, (0, 0, start, 0, 0), (1, n_components, stop, height, width))[0]
        if not np.all(np.abs(slab) < LARGEST_MM):
            raise ReadError(path, "its displacements are not all finite numbers", "mend the file")
        for theirs in range(n_components):
            ours = 2 - theirs
            np.multiply(slab[theirs], scale[theirs, ours], out=out[ours, start:stop])
    return out
