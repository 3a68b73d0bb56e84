"""Transforms from plain values (JSON), by the name of their type."""

from __future__ import annotations

from typing import Any

from ..errors import GeometryError, TransformError
from ..geometry import Plane
from .affine import Affine
from .base import Chain, Transform
from .field import DisplacementField
from .kernel_map import KernelMap
from .section import SectionPlacement
from .thin_plate import ThinPlateSpline

_MAX_DEPTH = 32


def transform_from_dict(values: Any, _depth: int = 0) -> Transform:
    """The transform that ``Transform.to_dict`` described.

    Raises
    ------
    TransformError
        If the description is of an unknown type, incomplete or damaged.
    """
    if not isinstance(values, dict) or not isinstance(values.get("type"), str):
        raise TransformError("a transform is described by an object with a 'type'")
    if _depth > _MAX_DEPTH:
        raise TransformError("the transforms are nested too deeply")
    kind = values["type"]
    try:
        if kind == "chain":
            return Chain(*(transform_from_dict(v, _depth + 1) for v in values["transforms"]))
        if kind == "inverse":
            return transform_from_dict(values["transform"], _depth + 1).inverse()
        if kind == "section":
            inner = transform_from_dict(values["in_plane"], _depth + 1)
            return SectionPlacement(inner, Plane.from_dict(values["plane"]), values["thickness_um"])
        if kind in _SIMPLE_TYPES:
            return _SIMPLE_TYPES[kind].from_dict(values)
    except KeyError as error:
        raise TransformError(f"the {kind} transform lacks {error.args[0]!r}") from error
    except (TypeError, ValueError, OverflowError, GeometryError) as error:
        raise TransformError(f"the {kind} transform is damaged: {error}") from error
    known = ", ".join([*_SIMPLE_TYPES, "section", "chain", "inverse"])
    raise TransformError(f"the transform type {kind!r} is not one of {known}")


_Simple = type[Affine] | type[ThinPlateSpline] | type[KernelMap] | type[DisplacementField]
_SIMPLE_TYPES: dict[str, _Simple] = {
    "affine": Affine,
    "kernel_map": KernelMap,
    "thin_plate_spline": ThinPlateSpline,
    "displacement_field": DisplacementField,
}
