"""OME-Zarr 0.6 coordinate transformations between two coordinate systems, as a transform of ours.

A scene's transformation maps points of its input to points of its output: fixed to moving, as ours.
Everything is untrusted. The work is done in "file space": the coordinates in the order and units of
the input system, a flat one with our z before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import BridgecorrError, ReadError, one_line
from ...geometry import Grid
from ...transform import Affine, DisplacementField, Transform
from ...units import micrometres_per
from ..ome_zarr.chunks import presence
from ..ome_zarr.files import Folder, Unreadable, folder_at
from ..ome_zarr.metadata import safe_path
from ..ome_zarr.store import open_stored, read_whole
from ..ome_zarr.transforms import FloatArray, Misdescribed, NotAffine, chained, listed, mapping
from .itk_maps import FLAT_SPACING_UM, FLAT_WARNING, MOST_VECTORS, OUTSIDE_WARNING, merged_chain
from .transform_file import TransformFile

_REMEDY = "export the transform again"
_DEEPEST = 8
_LONGEST = 64
_MOST_SYSTEMS = 256


@dataclass(frozen=True)
class _System:
    """Axes of a coordinate system: our axis (0, 1, 2 for z, y, x) and um per unit of each."""

    name: str
    axes: tuple[int, ...]
    scales_um: tuple[float, ...]

    def from_world(self) -> FloatArray:
        """(4, 4): (z, y, x, 1) in um to file space."""
        flat = len(self.axes) == 2
        order = [0, *self.axes] if flat else list(self.axes)
        scales = [1.0, *self.scales_um] if flat else list(self.scales_um)
        matrix = np.zeros((4, 4))
        matrix[3, 3] = 1
        for row, (axis, scale) in enumerate(zip(order, scales, strict=True)):
            matrix[row, axis] = 1 / scale
        return matrix


def holds_transforms(folder: Path) -> bool:
    """Whether a folder is an OME-Zarr group of transformations and no image. Never raises."""
    try:
        ome = _ome(folder_at(folder))
        return "multiscales" not in ome and bool(_transformations(ome))
    except (Unreadable, Misdescribed, OSError):
        return False


def read_ome_zarr_transform(path: Path) -> TransformFile:
    """The transformation of a scene.

    Raises
    ------
    ReadError
    """
    try:
        return _Scene(folder_at(path)).read()
    except (Unreadable, Misdescribed) as error:
        raise ReadError(path, one_line(error), _REMEDY) from error
    except OSError as error:
        raise ReadError(path, f"it cannot be read ({one_line(error)})", "check it") from error
    except ReadError as error:
        raise ReadError(path, error.fault, error.remedy) from error
    except BridgecorrError as error:
        raise ReadError(path, one_line(error), _REMEDY) from error


def _ome(folder: Folder) -> Mapping[str, Any]:
    document = folder.json("zarr.json")
    attributes = folder.json(".zattrs") if document is None else document.get("attributes")
    attributes = mapping({} if attributes is None else attributes, "group's attributes")
    return mapping(attributes.get("ome", attributes), "value of ome")


def _transformations(ome: Mapping[str, Any]) -> list[Any]:
    """Of the scene, or of the group itself, where drafts of 0.6 have them."""
    scene = mapping(ome.get("scene", ome), "scene")
    return listed(scene, "coordinateTransformations")


class _Scene:
    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.warnings: list[str] = []

    def read(self) -> TransformFile:
        ome = _ome(self.folder)
        found = [mapping(t, "coordinate transformation") for t in _transformations(ome)]
        if not found:
            raise Misdescribed("it holds no coordinate transformation")
        if len(found) > 1:
            found = [t for t in found if _names(t) == ("fixed", "moving")]
            if len(found) != 1:
                raise Misdescribed(
                    "it holds several transformations, and not one alone leads from 'fixed' to "
                    "'moving'"
                )
        chosen = found[0]
        scene = mapping(ome.get("scene", ome), "scene")
        fixed, moving = (self._system(chosen.get(side), scene) for side in ("input", "output"))
        if len(fixed.axes) != len(moving.axes):
            raise Misdescribed("its systems have different numbers of axes")
        inward, outward = fixed.from_world(), np.linalg.inv(moving.from_world())
        steps = [Affine(inward), *self._steps(chosen, len(fixed.axes), 0), Affine(outward)]
        if len(fixed.axes) == 2:
            self.warnings.append(FLAT_WARNING)
        return TransformFile(
            merged_chain(_without_file_space(steps)),
            dimensions=len(fixed.axes),
            format="OME-Zarr coordinate transformation",
            warnings=tuple(dict.fromkeys(self.warnings)),
        )

    def _system(self, reference: Any, scene: Mapping[str, Any]) -> _System:
        name, path = _reference(reference)
        holder = scene
        if path:
            images = listed(_ome(self._at(path)), "multiscales")
            holder = mapping(images[0] if images else {}, "multiscales entry")
        for entry in listed(holder, "coordinateSystems")[:_MOST_SYSTEMS]:
            entry = mapping(entry, "coordinate system")
            if entry.get("name") == name:
                return self._axes(str(name), entry.get("axes"))
        raise Misdescribed(f"the coordinate system {name!r} is not described in it")

    def _axes(self, name: str, axes: Any) -> _System:
        described = [mapping(a, "axis") for a in axes] if isinstance(axes, list) else []
        names = [str(a.get("name", "")).lower() for a in described]
        if sorted(names) not in (["x", "y", "z"], ["x", "y"]):
            raise Misdescribed(
                f"the coordinate system {name!r} has the axes {', '.join(names)[:60] or 'none'}; "
                f"z, y, x or y, x are read here"
            )
        scales = []
        for axis in described:
            unit = axis.get("unit")
            if not isinstance(unit, str) or not unit:
                self.warnings.append(f"the axes of {name!r} have no unit: um is assumed")
                unit = "um"
            scales.append(micrometres_per(unit))
        return _System(name, tuple("zyx".index(n) for n in names), tuple(scales))

    def _at(self, path: Any) -> Folder:
        here = self.folder
        for part in safe_path(path).split("/"):
            here = here / part
        return here

    def _load(self, path: str) -> Any:
        return read_whole(self._at(path))

    def _steps(self, transform: Mapping[str, Any], n: int, depth: int) -> list[Transform]:
        """The transformation in file space, of `n` stored coordinates."""
        if depth > _DEEPEST:
            raise Misdescribed("its coordinate transformations are nested without end")
        try:
            matrix = chained([transform], n, self._load)
        except NotAffine:
            return self._nonlinear(transform, n, depth)
        if len(matrix) != n + 1:
            raise Misdescribed("it changes the number of axes")
        whole = np.eye(4)
        whole[3 - n :, 3 - n :] = matrix
        return [Affine(whole)]

    def _nonlinear(self, transform: Mapping[str, Any], n: int, depth: int) -> list[Transform]:
        kind = transform.get("type")
        if kind == "sequence":
            parts = listed(transform, "transformations")
            if len(parts) > _LONGEST:
                raise Misdescribed("its sequence is absurdly long")
            steps: list[Transform] = []
            for part in parts:
                part = mapping(part, "coordinate transformation")
                steps += self._steps(part, n, depth + 1)
            return steps
        if kind == "bijection":
            forward = mapping(transform.get("forward"), "forward transformation")
            self.warnings.append(
                "its stated inverse is not used: the inverse is computed from the forward map"
            )
            return self._steps(forward, n, depth + 1)
        if kind in ("displacements", "coordinates"):
            self.warnings.append(OUTSIDE_WARNING)
            return [self._field(transform, n, is_absolute=kind == "coordinates")]
        raise Misdescribed(f"its transformation {kind!r} of a field is not read here")

    def _field(
        self, transform: Mapping[str, Any], n: int, *, is_absolute: bool
    ) -> DisplacementField:
        how = transform.get("interpolation", "linear")
        if how != "linear":
            raise Misdescribed(f"its field is interpolated by {str(how)[:40]!r}, not linearly")
        place = self._at(transform.get("path"))
        folder, axes, matrix = self._described_array(place, n)
        kinds = ("coordinate",) if is_absolute else ("displacement",)
        types = [a.get("type") for a in axes]
        vector = [i for i, kind in enumerate(types) if kind in kinds]
        if len(axes) != n + 1 or len(vector) != 1:
            raise Misdescribed(f"the field {folder.name!r} has no axis of type {kinds[0]!r}")
        spatial = [i for i in range(n + 1) if i != vector[0]]
        lattice = np.eye(4)
        rows = [*spatial, n + 1]
        lattice[3 - n :, 3 - n :] = matrix[np.ix_(rows, rows)]
        others = matrix[np.ix_(spatial, vector)]
        if np.any(others != 0):
            raise Misdescribed(f"the field {folder.name!r} mixes places and components")
        values = self._values(folder, n, vector[0])
        if n == 2:
            lattice[0, 0] = FLAT_SPACING_UM
        shape = values.shape[1:]
        grid = Grid((shape[0], shape[1], shape[2]), lattice)
        if is_absolute:
            index = np.indices(grid.shape).reshape(3, -1).T
            points = grid.to_world(index).T.reshape(3, *grid.shape)
            values[3 - n :] -= points[3 - n :]
        return DisplacementField(grid, values)

    def _described_array(
        self, place: Folder, n: int
    ) -> tuple[Folder, list[Mapping[str, Any]], FloatArray]:
        """The array of a field, its axes, and the matrix from its indices to file space."""
        ome = _ome(place)
        images = listed(ome, "multiscales")
        holder = mapping(images[0], "multiscales entry") if images else ome
        systems = listed(holder, "coordinateSystems")
        if not systems:
            raise Misdescribed(f"the field {place.name!r} does not describe its axes")
        system = mapping(systems[0], "coordinate system")
        axes = [mapping(a, "axis") for a in listed(system, "axes")]
        if images:
            datasets = listed(holder, "datasets")
            dataset = mapping(datasets[0] if datasets else None, "dataset")
            steps = listed(dataset, "coordinateTransformations")
            for part in safe_path(dataset.get("path")).split("/"):
                place = place / part
        else:
            steps = listed(ome, "coordinateTransformations")
        if len(axes) != n + 1:
            raise Misdescribed(f"the field {place.name!r} has {len(axes)} axes, not {n + 1}")
        matrix = chained(steps[:1], n + 1, self._load)
        if len(matrix) != n + 2:
            raise Misdescribed(f"the field {place.name!r} changes the number of axes")
        return place, axes, matrix

    def _values(self, folder: Folder, n: int, vector: int) -> np.ndarray:
        """(3, z, y, x) components in file space; an absent chunk is refused, not taken for 0."""
        letters = list("zyx"[3 - n :])
        letters.insert(vector, "c")
        stored = open_stored(folder, "".join(letters))
        _, components, *shape = stored.shape
        if components != n:
            raise Misdescribed(f"the field {folder.name!r} has {components} components, not {n}")
        if prod(shape) > MOST_VECTORS or stored.dtype.kind != "f":
            raise Misdescribed(f"the field {folder.name!r} holds {shape} of {stored.dtype}")
        if presence(stored).n_missing:
            raise Misdescribed(f"pieces of the field {folder.name!r} are missing")
        found = stored[0]
        if not np.all(np.isfinite(found)):
            raise Misdescribed(f"the field {folder.name!r} holds what is no finite number")
        dtype = np.float32 if found.dtype.itemsize <= 4 else np.float64
        values = np.zeros((3, *shape), dtype=dtype)
        values[3 - n :] = found
        return values


def _reference(reference: Any) -> tuple[Any, Any]:
    """Name and path of a coordinate system: text in drafts, an object in 0.6."""
    if isinstance(reference, Mapping):
        return reference.get("name"), reference.get("path")
    if isinstance(reference, str):
        path, _, name = reference.rpartition("/")
        return name, path or None
    raise Misdescribed("its transformation does not say between which systems it is")


def _names(transform: Mapping[str, Any]) -> tuple[Any, Any]:
    return _reference(transform.get("input"))[0], _reference(transform.get("output"))[0]


def _without_file_space(steps: list[Transform]) -> list[Transform]:
    """The same map in world um: each field is carried over into the space before it.

    With the first step A, ``A, F, ...`` is ``A^-1 F A, A, ...``: axes and units change places, and
    the field stays one on a grid.
    """
    first = steps[0]
    assert isinstance(first, Affine)
    inward, back = first.matrix, np.linalg.inv(first.matrix)
    carried: list[Transform] = []
    for step in steps[1:-1]:
        if isinstance(step, DisplacementField):
            grid = Grid(step.grid.shape, back @ step.grid.index_to_world)
            moved = np.einsum("ij,jzyx->izyx", back[:3, :3], step.displacement_um)
            moved = moved.astype(step.displacement_um.dtype, copy=False)
            carried.append(DisplacementField(grid, moved))
        else:
            assert isinstance(step, Affine)
            carried.append(Affine(back @ step.matrix @ inward))
    last = steps[-1]
    assert isinstance(last, Affine)
    # exactly the identity where both systems have the same axes and units
    rest = last.matrix @ inward
    if not np.allclose(rest, np.eye(4), rtol=0, atol=1e-12) or not carried:
        carried.append(Affine(rest))
    return carried
