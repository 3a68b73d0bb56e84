"""Registrations one after the other: found in a graph or given as files, composed, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TransformError
from ..io.graph_file import read_graph
from ..io.landmark_files import landmark_format_of, read_points, read_points_file
from ..io.transform_files import read_transform, transform_document, write_document
from ..io.transform_files.write import target_of, write_transform
from ..transform import Chain, LoopClosure, Route, Transform, TransformGraph, simplified
from ..transform.graph import By, Edge
from ..transform.simplify import steps_of

FloatArray = NDArray[np.float64]
INVERSE = "^-1"


@dataclass(frozen=True, eq=False)
class ComposedTransform:
    """A chain of registrations as one transform.

    Parameters
    ----------
    transform : Transform
        Simplified.
    route : Route
        What it is made of.
    warnings : tuple of str
    """

    transform: Transform
    route: Route
    warnings: tuple[str, ...] = ()

    @property
    def n_steps(self) -> int:
        """Steps that are left after simplification."""
        return len(steps_of(self.transform))


def compose_files(names: Sequence[str]) -> ComposedTransform:
    """Transform files one after the other, the first applied first.

    Parameters
    ----------
    names : sequence of str
        Paths; one that ends in ``^-1`` is taken in the other direction.

    Raises
    ------
    ReadError, TransformError
    """
    if not names:
        raise TransformError("name at least one transform")
    steps: list[Transform] = []
    edges: list[Edge] = []
    warnings: list[str] = []
    for number, name in enumerate(names):
        backward = name.endswith(INVERSE) and not Path(name).exists()
        path = Path(name[: -len(INVERSE)] if backward else name)
        file = read_transform(path)
        warnings += [f"{path.name}: {warning}" for warning in file.warnings]
        steps.append(file.transform.inverse() if backward else file.transform)
        here, there = str(number), str(number + 1)
        ends = (there, here) if backward else (here, there)
        edges.append(Edge(*ends, file.transform, name=path.name))
    spaces = tuple(str(k) for k in range(len(names) + 1))
    return ComposedTransform(
        simplified(Chain(*steps)), Route(spaces, tuple(edges)), tuple(dict.fromkeys(warnings))
    )


def compose_route(graph: TransformGraph, fixed: str, moving: str, by: By) -> ComposedTransform:
    """The map between two spaces of a graph.

    Raises
    ------
    TransformError
    """
    route = graph.route(fixed, moving, by)
    return ComposedTransform(route.transform, route)


def load_graph(path: Path) -> TransformGraph:
    """The graph of a file; see :func:`~napari_bridgecorr.io.graph_file.read_graph`."""
    return read_graph(path)


def write_composed(composed: ComposedTransform, out: Path) -> None:
    """Write a composed transform; JSON says beside it what it is made of.

    Raises
    ------
    WriteError
        If the format that the name asks for cannot hold it.
    """
    if target_of(out) != "json":
        write_transform(composed.transform, out)
        return
    made: dict[str, Any] = {"route": composed.route.words, "spaces": list(composed.route.spaces)}
    if composed.route.error_um is not None:
        made["expected_error_um"] = composed.route.error_um
    write_document({**transform_document(composed.transform), "chain_of": made}, out)


def points_to_check(path: Path) -> FloatArray:
    """The points of a file: a CSV of z_um, y_um, x_um, or any landmark format.

    Raises
    ------
    ReadError
    """
    if landmark_format_of(path) in (None, "points_csv"):
        return read_points(path).points_um
    found = read_points_file(path).points
    placed = [p.position_um for p in found if p.enabled and p.position_um is not None]
    return np.array(placed, dtype=np.float64).reshape(-1, 3)


def chain_closure(composed: ComposedTransform, points_um: FloatArray) -> LoopClosure:
    """How far a chain that should lead back to its start is from doing so."""
    moved = composed.transform.map(points_um)
    return LoopClosure(composed.route, np.asarray(moved - points_um))
