"""Named spaces and the registrations between them."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import TransformError
from .affine import Affine
from .base import Chain, Transform, as_points
from .simplify import simplified

FloatArray = NDArray[np.float64]
By = Literal["auto", "steps", "error"]


@dataclass(frozen=True, eq=False)
class Edge:
    """A transform that maps points of space `fixed` to points of space `moving`.

    Parameters
    ----------
    fixed, moving : str
    transform : Transform
    error_um : float, optional
        Root-mean-square error that is expected of it; None where nobody knows.
    name : str
        What to call it in messages, as a file's name.
    """

    fixed: str
    moving: str
    transform: Transform
    error_um: float | None = None
    name: str = ""

    def __post_init__(self) -> None:
        if self.error_um is not None and not (np.isfinite(self.error_um) and self.error_um >= 0):
            raise TransformError(
                f"the expected error of {self.label} is 0 or a positive length in um, "
                f"not {self.error_um}"
            )

    @property
    def label(self) -> str:
        """Its name, else the spaces that it connects."""
        return self.name or f"{self.fixed} -> {self.moving}"


@dataclass(frozen=True, eq=False)
class Route:
    """Registrations that lead from one space to another.

    Parameters
    ----------
    spaces : tuple of str
        In the order in which they are passed, the first and the last included.
    edges : tuple of Edge
        One fewer.
    """

    spaces: tuple[str, ...]
    edges: tuple[Edge, ...]

    @property
    def transform(self) -> Transform:
        """The map from the first space to the last, simplified."""
        if not self.edges:
            return Affine.identity()
        return simplified(Chain(*(t for _, t in self._directed())))

    @property
    def error_um(self) -> float | None:
        """Expected error of the whole: the root of the sum of squares, as for independent errors.

        None where a registration's own is not known. Lengths are those of each registration's own
        moving space; they are not rescaled.
        """
        known = [edge.error_um for edge in self.edges if edge.error_um is not None]
        if len(known) < len(self.edges):
            return None
        return float(np.sqrt(sum(error**2 for error in known)))

    @property
    def words(self) -> str:
        """The spaces, and what leads from one to the next: ``a -[t.json]-> b <-[u.json]- c``."""
        text = self.spaces[0]
        for (edge, _), there in zip(self._directed(), self.spaces[1:], strict=True):
            name = f"[{edge.name}]" if edge.name else ""
            text += f" -{name}-> {there}" if edge.moving == there else f" <-{name}- {there}"
        return text

    def _directed(self) -> list[tuple[Edge, Transform]]:
        found = []
        for edge, here in zip(self.edges, self.spaces, strict=False):
            forward = edge.fixed == here
            found.append((edge, edge.transform if forward else edge.transform.inverse()))
        return found


@dataclass(frozen=True, eq=False)
class LoopClosure:
    """How far from where they started points come back that go round a loop of registrations.

    Parameters
    ----------
    route : Route
        Its last space is its first.
    displacement_um : (n, 3) float64
        Where each point ends minus where it began; NaN where a map on the way is not defined.
    """

    route: Route
    displacement_um: FloatArray

    @property
    def distances_um(self) -> FloatArray:
        """(n,) lengths of the displacements."""
        return np.asarray(np.linalg.norm(self.displacement_um, axis=1))

    @property
    def n_undefined(self) -> int:
        """Points that do not come back at all."""
        return int(np.count_nonzero(~np.isfinite(self.distances_um)))

    @property
    def rms_um(self) -> float:
        """Root mean square of the distances; NaN where no point comes back."""
        known = self.distances_um[np.isfinite(self.distances_um)]
        return float(np.sqrt(np.mean(known**2))) if len(known) else float("nan")

    @property
    def largest_um(self) -> float:
        """Largest distance; NaN where no point comes back."""
        known = self.distances_um[np.isfinite(self.distances_um)]
        return float(known.max()) if len(known) else float("nan")


@dataclass(frozen=True)
class TransformGraph:
    """Finds the map between any two spaces that a path of registrations connects.

    Mass cytometry -> slide scanner -> tomography; in vivo MRI -> ex vivo MRI -> microscopy.

    Examples
    --------
    >>> shift = Affine.from_parts(np.eye(3), (0, 0, 100))
    >>> graph = TransformGraph().with_edge("slide", "tomography", shift, error_um=7.0)
    >>> graph = graph.with_edge("mass cytometry", "slide", shift, error_um=6.0)
    >>> route = graph.route("tomography", "mass cytometry")
    >>> route.words
    'tomography <-- slide <-- mass cytometry'
    >>> route.transform.map([[0, 0, 200]]).tolist(), round(route.error_um, 2)
    ([[0.0, 0.0, 0.0]], 9.22)
    """

    edges: tuple[Edge, ...] = ()

    def with_edge(
        self,
        fixed: str,
        moving: str,
        transform: Transform,
        error_um: float | None = None,
        name: str = "",
    ) -> TransformGraph:
        """The graph with one registration more."""
        return TransformGraph((*self.edges, Edge(fixed, moving, transform, error_um, name)))

    @property
    def spaces(self) -> tuple[str, ...]:
        """Names of the spaces in the order of their appearance."""
        names = [name for edge in self.edges for name in (edge.fixed, edge.moving)]
        return tuple(dict.fromkeys(names))

    def between(self, fixed: str, moving: str, by: By = "auto") -> Transform:
        """The map from `fixed` to `moving`, simplified; see :meth:`route`."""
        return self.route(fixed, moving, by).transform

    def route(self, fixed: str, moving: str, by: By = "auto") -> Route:
        """The best way from one space to another.

        Parameters
        ----------
        fixed, moving : str
        by : {"auto", "steps", "error"}
            The fewest registrations, or the least expected error (of ways as good, the fewest
            registrations, then the one added first). ``auto``: by error where every registration
            carries one, else by steps.

        Raises
        ------
        TransformError
            If a space is unknown, no way connects them, or errors are asked for that are not known.
        """
        for name in (fixed, moving):
            if name not in self.spaces:
                known = ", ".join(self.spaces) or "none"
                raise TransformError(f"there is no space {name!r}; the spaces are: {known}")
        unknown = [edge for edge in self.edges if edge.error_um is None]
        if by == "error" and unknown:
            raise TransformError(
                f"the expected error of {unknown[0].label} is not known: state its error_um, or "
                f"choose by the fewest steps"
            )
        found = self._search(fixed, by == "error" or (by == "auto" and not unknown)).get(moving)
        if found is None:
            raise TransformError(f"no registration connects {fixed!r} with {moving!r}")
        return found

    def loops(self) -> tuple[Route, ...]:
        """Independent loops of registrations: what closes them says how far they contradict.

        One for each registration that the others could do without; each is as short as can be.
        Two registrations of the same two spaces are a loop too.
        """
        found, tree = [], TransformGraph()
        for edge in self.edges:
            known = tree.spaces
            back = None
            if edge.fixed == edge.moving:
                back = Route((edge.fixed,), ())
            elif edge.fixed in known and edge.moving in known:
                back = tree._search(edge.moving, False).get(edge.fixed)
            if back is not None:
                found.append(Route((edge.fixed, *back.spaces), (edge, *back.edges)))
            tree = TransformGraph((*tree.edges, edge))
        return tuple(found)

    def closures(self, space: str, points_um: ArrayLike) -> tuple[LoopClosure, ...]:
        """How far every loop that can be reached from a space is from closing.

        Parameters
        ----------
        space : str
            Where the points are; they are carried to each loop's nearest space.
        points_um : (n, 3) array-like

        Raises
        ------
        TransformError
            If there is no such space.
        """
        points = as_points(points_um)
        self.route(space, space)
        ways = self._search(space, False)
        found = []
        for loop in self.loops():
            if loop.spaces[0] not in ways:
                continue
            ring = loop.spaces[:-1]
            nearest = min(range(len(ring)), key=lambda i: len(ways[ring[i]].edges))
            turned = _turned(loop, nearest)
            start = ways[turned.spaces[0]].transform.map(points)
            found.append(LoopClosure(turned, _round_trip(turned, start)))
        return tuple(found)

    def _search(self, start: str, by_error: bool) -> dict[str, Route]:
        """The best way to every space that can be reached (Dijkstra)."""
        reached: dict[str, Route] = {}
        queue: list[tuple[float, int, int, Route]] = [(0.0, 0, 0, Route((start,), ()))]
        count = 0
        while queue:
            cost, steps, _, way = heapq.heappop(queue)
            here = way.spaces[-1]
            if here in reached:
                continue
            reached[here] = way
            for edge in self.edges:
                ends = {edge.fixed: edge.moving, edge.moving: edge.fixed}
                there = ends.get(here)
                if there is None or there in reached:
                    continue
                count += 1
                more = (edge.error_um or 0.0) ** 2 if by_error else 0.0
                longer = Route((*way.spaces, there), (*way.edges, edge))
                heapq.heappush(queue, (cost + more, steps + 1, count, longer))
        return reached


def _turned(loop: Route, start: int) -> Route:
    """A loop begun at another of its spaces."""
    ring = loop.spaces[:-1]
    spaces = (*ring[start:], *ring[:start], ring[start])
    return Route(spaces, (*loop.edges[start:], *loop.edges[:start]))


def _round_trip(loop: Route, points: FloatArray) -> FloatArray:
    moved = points
    for _, transform in loop._directed():
        moved = transform.map(moved)
    return np.asarray(moved - points)
