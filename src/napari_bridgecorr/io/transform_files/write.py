"""Which writer an output's name asks for, and what each format can hold exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from ...errors import WriteError
from ...geometry import Grid
from ...geometry.anatomical import (
    AnatomicalFrame,
    index_to_millimetres,
    map_to_millimetres,
    points_to_millimetres,
)
from ...simple_itk import ItkStep, fault_of, write_transforms, write_vector_image
from ...transform import Affine, Chain, DisplacementField, Transform
from ..atomic import replacing, write_text
from .elastix import affine_parameters
from .itk_maps import merged_chain
from .itk_records import FloatArray
from .itk_text import affine_mat, affine_text
from .own_json import transform_document, write_document

Target = Literal["json", "itk text", "itk mat", "itk hdf5", "elastix", "vector image", "ome-zarr"]

_ENDINGS: dict[str, Target] = {
    ".json": "json",
    ".tfm": "itk text",
    ".txt": "itk text",
    ".mat": "itk mat",
    ".h5": "itk hdf5",
    ".hdf5": "itk hdf5",
    ".nii.gz": "vector image",
    ".nii": "vector image",
    ".nrrd": "vector image",
    ".mha": "vector image",
    ".ome.zarr": "ome-zarr",
    ".zarr": "ome-zarr",
}
_MATRICES = ("itk text", "itk mat", "elastix")
ENDINGS_IN_WORDS = ".json, .tfm, .txt, .mat, .h5, .nii.gz, .nii, .nrrd, .mha or .ome.zarr"


def target_of(path: Path) -> Target:
    """The format that the name of an output asks for.

    ``TransformParameters*.txt`` is elastix's, every other ``.txt`` ITK's.

    Raises
    ------
    WriteError
        If its ending says none.
    """
    name = path.name.lower()
    if name.startswith("transformparameters") and name.endswith(".txt"):
        return "elastix"
    for ending, target in _ENDINGS.items():
        if name.endswith(ending) and len(name) > len(ending):
            return target
    raise WriteError(
        path,
        "its name does not say which transform format to write",
        f"end it in {ENDINGS_IN_WORDS}",
    )


def parts_of(transform: Transform) -> list[Transform]:
    """The steps of a transform, nested chains unrolled and neighbouring affines made one."""
    steps: list[Transform] = []
    pending = [transform]
    while pending:
        step = pending.pop(0)
        if isinstance(step, Chain):
            pending = [*step.transforms, *pending]
        else:
            steps.append(step)
    merged = merged_chain(steps)
    return list(merged.transforms) if isinstance(merged, Chain) else [merged]


def is_exact_in(target: Target, transform: Transform) -> bool:
    """Whether a format can hold a transform as it is, unsampled."""
    parts = parts_of(transform)
    if target == "json":
        return True
    if target in _MATRICES:
        return len(parts) == 1 and isinstance(parts[0], Affine)
    fields_fit = all(is_rectangular(p.grid) for p in parts if isinstance(p, DisplacementField))
    known = all(isinstance(p, Affine | DisplacementField) for p in parts)
    if target == "vector image":
        return known and fields_fit and len(parts) == 1 and isinstance(parts[0], DisplacementField)
    return known and fields_fit


def holds_fields(target: Target) -> bool:
    """Whether a format can hold a displacement field."""
    return target not in _MATRICES


def is_rectangular(grid: Grid) -> bool:
    """Whether a grid's axes are at right angles, as other programs' images need.

    To the rounding of NIfTI's float32, so that what was read can be written again.
    """
    axes = grid.index_to_world[:3, :3] / grid.voxel_size_um
    return np.allclose(axes.T @ axes, np.eye(3), rtol=0, atol=1e-5)


def write_transform(
    transform: Transform,
    path: Path,
    *,
    frame: AnatomicalFrame = "LPS",
    inverse: Transform | None = None,
) -> None:
    """Write a transform as it is, in the format that the name's ending asks for.

    Parameters
    ----------
    transform : Transform
        Fixed world to moving world.
    path : Path
        ``.json`` holds any; ``.tfm``, ``.txt``, ``.mat`` and ``TransformParameters*.txt`` an
        affine; ``.nii.gz``, ``.nii``, ``.nrrd`` and ``.mha`` a displacement field; ``.h5`` and
        ``.ome.zarr`` both and chains of them. Others are to be sampled first; see
        :func:`~napari_bridgecorr.transform.sampling.sample_field`.
    frame : {"LPS", "RAS"}
        What x, y, z mean to the program that will read it; see :func:`.read.read_transform`.
    inverse : Transform, optional
        Moving to fixed, as such parts too: makes OME-Zarr's transformation a bijection.

    Raises
    ------
    WriteError
        If the format cannot hold it, or the disk refuses.
    """
    target = target_of(path)
    if not is_exact_in(target, transform):
        what = "matrices alone" if target in _MATRICES else "affine maps and displacement fields"
        raise WriteError(
            path,
            f"this format holds {what}",
            "write .h5 or .nii.gz with --like, or .json, which holds every transform",
        )
    parts = parts_of(transform)
    if target == "json":
        write_document(transform_document(transform), path)
    elif target in _MATRICES:
        _write_matrix(parts[0], path, target, frame)
    elif target == "ome-zarr":
        from .ome_zarr_write import write_ome_zarr_transform

        write_ome_zarr_transform(parts, path, None if inverse is None else parts_of(inverse))
    else:
        _write_by_itk(parts, path, target, frame)


def _write_matrix(part: Transform, path: Path, target: Target, frame: AnatomicalFrame) -> None:
    assert isinstance(part, Affine)
    matrix = map_to_millimetres(part.matrix, frame)
    if target == "itk mat":
        with replacing(path) as temporary:
            temporary.write_bytes(affine_mat(matrix))
    else:
        write_text(path, affine_text(matrix) if target == "itk text" else affine_parameters(matrix))


def _write_by_itk(
    parts: list[Transform], path: Path, target: Target, frame: AnatomicalFrame
) -> None:
    steps: list[ItkStep] = []
    for part in parts:
        if isinstance(part, Affine):
            steps.append(map_to_millimetres(part.matrix, frame))
        else:
            assert isinstance(part, DisplacementField)
            steps.append(_itk_field(part, frame))
    try:
        with replacing(path) as temporary:
            if target == "itk hdf5":
                write_transforms(temporary, steps)
            else:
                field = steps[0]
                assert isinstance(field, tuple)
                write_vector_image(temporary, *field)
    except RuntimeError as error:
        raise WriteError(path, fault_of(error), "check the disk space and the folder") from error


def _itk_field(field: DisplacementField, frame: AnatomicalFrame) -> tuple[np.ndarray, FloatArray]:
    """(z, y, x, 3) vectors in mm and the matrix of their indices."""
    scale = points_to_millimetres(np.eye(3), frame)
    vectors = np.empty((*field.grid.shape, 3), dtype=field.displacement_um.dtype)
    for theirs, ours in ((0, 2), (1, 1), (2, 0)):
        np.multiply(field.displacement_um[ours], scale[ours, theirs], out=vectors[..., theirs])
    return vectors, index_to_millimetres(field.grid.index_to_world, frame)
