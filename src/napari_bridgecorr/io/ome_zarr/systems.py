"""Coordinate systems of OME-Zarr 0.6 and the ways between them.

An array leads to the intrinsic system, and further transformations lead on. Which system is the
world: the one named so; else the first of the list that can be reached and is no array's; else the
intrinsic one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .transforms import FloatArray, Load, Misdescribed, chained, listed, mapping

_MOST_SYSTEMS = 64
_WORLD = "world"


@dataclass(frozen=True)
class System:
    """A named coordinate system.

    Parameters
    ----------
    name : str
    axes : list
        JSON objects.
    is_array : bool
        Whether its axes count voxels.
    """

    name: str
    axes: Any
    is_array: bool

    @property
    def axis_names(self) -> list[str]:
        """Names of its axes, in order."""
        return [str(a.get("name")) for a in self.axes if isinstance(a, Mapping)]


@dataclass(frozen=True)
class Edge:
    """A transformation between two systems, which may be taken backwards."""

    transform: Mapping[str, Any]
    is_backward: bool
    start: System
    end: System


@dataclass(frozen=True)
class Way:
    """From the intrinsic system to another."""

    system: System
    edges: tuple[Edge, ...]

    def steps(self, load: Load, n: int) -> list[Mapping[str, Any]]:
        """The way as affine transformations, the first applied first.

        Raises
        ------
        Misdescribed
            If a step is no affine one, or has no inverse where it is taken backwards.
        """
        steps: list[Mapping[str, Any]] = []
        for edge in self.edges:
            names = (edge.start.axis_names, edge.end.axis_names)
            if not edge.is_backward:
                matrix = chained([edge.transform], n, load, names)
            else:
                n_back = len(edge.end.axis_names)
                matrix = _inverse(chained([edge.transform], n_back, load, names[::-1]))
            n = len(matrix) - 1
            steps.append({"type": "affine", "affine": matrix[:-1].tolist()})
        return steps


@dataclass(frozen=True)
class Ways:
    """The system that the arrays lead to, and where places can be given, the best first."""

    intrinsic: System
    worlds: tuple[Way, ...]


def parse_systems(document: Mapping[str, Any]) -> list[System]:
    """``coordinateSystems`` of a multiscale; empty before 0.6.

    Raises
    ------
    Misdescribed
    """
    systems = []
    for entry in listed(document, "coordinateSystems"):
        entry = mapping(entry, "coordinate system")
        axes = entry.get("axes")
        if not isinstance(axes, list) or not axes:
            raise Misdescribed("it describes no axes")
        is_array = all(isinstance(a, Mapping) and a.get("type") == "array" for a in axes)
        systems.append(System(str(entry.get("name")), axes, is_array))
    if len(systems) > _MOST_SYSTEMS:
        raise Misdescribed(f"it has {len(systems)} coordinate systems, which is absurd")
    return systems


def ways(
    dataset: Mapping[str, Any], common: Sequence[Mapping[str, Any]], systems: Sequence[System]
) -> Ways:
    """Where the arrays lead, and the systems that can be reached from there.

    Raises
    ------
    Misdescribed
        If a transformation names a system that is not described.
    """
    by_name = {s.name: s for s in reversed(systems)}
    own = listed(dataset, "coordinateTransformations")
    reached = _name(own[-1].get("output")) if own and isinstance(own[-1], Mapping) else None
    if reached is not None and reached not in by_name:
        raise Misdescribed(f"no transform leads from {reached!r} to {systems[0].name!r}")
    intrinsic = systems[0] if reached is None else by_name[reached]
    found: dict[str, Way] = {intrinsic.name: Way(intrinsic, ())}
    pending = [found[intrinsic.name]]
    while pending:
        here = pending.pop(0)
        for edge in _edges(here.system, common, by_name):
            if edge.end.name not in found:
                found[edge.end.name] = Way(edge.end, (*here.edges, edge))
                pending.append(found[edge.end.name])
    order = [s.name for s in systems if not s.is_array]
    preferred = [n for n in order if n.lower() == _WORLD]
    # an image whose only system counts voxels still has pixels to show
    names = dict.fromkeys([*preferred, *order, intrinsic.name])
    return Ways(intrinsic, tuple(found[n] for n in names if n in found))


def _edges(
    here: System, common: Sequence[Mapping[str, Any]], by_name: Mapping[str, System]
) -> list[Edge]:
    edges = []
    for transform in common:
        start, end = _name(transform.get("input")), _name(transform.get("output"))
        if start == here.name and end is not None and end in by_name:
            edges.append(Edge(transform, False, here, by_name[end]))
        if end == here.name and start is not None and start in by_name:
            edges.append(Edge(transform, True, here, by_name[start]))
    # a stated direction is better than its inverse
    return sorted(edges, key=lambda edge: edge.is_backward)


def _name(reference: Any) -> str | None:
    """Name of the system that a transformation names: text in drafts, an object in 0.6."""
    if isinstance(reference, Mapping):
        reference = reference.get("name") or reference.get("path")
    return reference if isinstance(reference, str) else None


def _inverse(matrix: FloatArray) -> FloatArray:
    if matrix.shape[0] != matrix.shape[1]:
        raise Misdescribed("its transformation has no inverse")
    try:
        return np.asarray(np.linalg.inv(matrix), dtype=np.float64)
    except np.linalg.LinAlgError as error:
        raise Misdescribed("its transformation has no inverse") from error
