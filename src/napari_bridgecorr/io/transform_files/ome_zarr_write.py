"""A transform as an OME-Zarr 0.6 scene: systems "fixed" and "moving", and what leads between them.

Matrices stand in the metadata, displacement fields in images of vectors beside it. A field on a
turned grid is stored in its own straight frame, between a rotation and its inverse.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import WriteError, one_line
from ...geometry import Grid
from ...transform import Affine, DisplacementField, Transform
from ..atomic import replacing
from ..ome_zarr.store import create_array, create_group, write_attributes

_VERSION = "0.6"
_FOLDER = "coordinateTransformations"
_CHUNK = 64
_AXES = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]


def write_ome_zarr_transform(
    parts: Sequence[Transform], path: Path, inverse: Sequence[Transform] | None
) -> None:
    """Write affine maps and displacement fields, the first applied first.

    Parameters
    ----------
    parts : sequence of Affine and DisplacementField
        Fixed to moving.
    path : Path
        The folder to make.
    inverse : sequence of Affine and DisplacementField, optional
        Moving to fixed.

    Raises
    ------
    WriteError
    """
    try:
        with replacing(path) as temporary:
            create_group(temporary)
            forward = _Fields(temporary, "forward").described(parts)
            if inverse is not None:
                backward = _Fields(temporary, "inverse").described(inverse)
                forward = {"type": "bijection", "forward": forward, "inverse": backward}
            ends = {"input": {"name": "fixed"}, "output": {"name": "moving"}}
            scene = {
                "coordinateSystems": [{"name": n, "axes": _AXES} for n in ("fixed", "moving")],
                "coordinateTransformations": [{**forward, **ends, "name": "registration"}],
            }
            write_attributes(temporary, {"ome": {"version": _VERSION, "scene": scene}})
    except (ValueError, TypeError) as error:
        raise WriteError(path, one_line(error), "choose another name") from error


class _Fields:
    """Writes the fields of one direction."""

    def __init__(self, root: Path, name: str) -> None:
        self.root = root
        self.name = name
        self.count = 0

    def described(self, parts: Sequence[Transform]) -> dict[str, Any]:
        steps = [step for part in parts for step in self._steps(part)]
        return steps[0] if len(steps) == 1 else {"type": "sequence", "transformations": steps}

    def _steps(self, part: Transform) -> list[dict[str, Any]]:
        if isinstance(part, Affine):
            return [_affine(part.matrix)]
        assert isinstance(part, DisplacementField)
        frame = np.eye(4)
        frame[:3, :3] = part.grid.index_to_world[:3, :3] / part.grid.voxel_size_um
        straight = np.array_equal(frame, np.eye(4))
        back = np.linalg.inv(frame)
        grid = Grid(part.grid.shape, back @ part.grid.index_to_world)
        values = part.displacement_um
        if not straight:
            values = np.einsum("ij,jzyx->izyx", back[:3, :3], values).astype(values.dtype)
        path = f"{_FOLDER}/{self.name}Displacements{self.count}"
        self.count += 1
        self._write(path, grid, values)
        field = {"type": "displacements", "path": path, "interpolation": "linear"}
        return [field] if straight else [_affine(back), field, _affine(frame)]

    def _write(self, path: str, grid: Grid, values: np.ndarray) -> None:
        if not (self.root / _FOLDER).exists():
            create_group(self.root / _FOLDER)
        folder = self.root / path
        create_group(folder)
        chunks = (3, *(min(_CHUNK, n) for n in grid.shape))
        array = create_array(folder / "s0", values.shape, values.dtype, chunks, None, "czyx")
        for start in range(0, grid.shape[0], _CHUNK):
            stop = min(start + _CHUNK, grid.shape[0])
            array[:, start:stop] = values[:, start:stop]
        axes = [{"name": "c", "type": "displacement", "discrete": True}, *_AXES]
        scale = [1.0, *grid.voxel_size_um]
        translation = [0.0, *grid.index_to_world[:3, 3].tolist()]
        place = {
            "type": "sequence",
            "input": {"path": "s0"},
            "output": {"name": "fixed"},
            "transformations": [
                {"type": "scale", "scale": scale},
                {"type": "translation", "translation": translation},
            ],
        }
        image = {
            "coordinateSystems": [{"name": "fixed", "axes": axes}],
            "datasets": [{"path": "s0", "coordinateTransformations": [place]}],
        }
        write_attributes(
            folder, {"ome": {"version": _VERSION, "name": path, "multiscales": [image]}}
        )


def _affine(matrix: np.ndarray) -> dict[str, Any]:
    return {"type": "affine", "affine": matrix[:3].tolist()}
