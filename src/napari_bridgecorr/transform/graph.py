"""Named spaces and the registrations between them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from ..errors import TransformError
from .affine import Affine
from .base import Chain, Transform


@dataclass(frozen=True)
class Edge:
    """A transform that maps points of space `fixed` to points of space `moving`."""

    fixed: str
    moving: str
    transform: Transform


@dataclass(frozen=True)
class TransformGraph:
    """Finds the map between any two spaces that a path of registrations connects.

    Mass cytometry -> slide scanner -> tomography; in vivo MRI -> ex vivo MRI -> microscopy.
    """

    edges: tuple[Edge, ...] = ()

    def with_edge(self, fixed: str, moving: str, transform: Transform) -> TransformGraph:
        """The graph with one registration more."""
        return TransformGraph((*self.edges, Edge(fixed, moving, transform)))

    @property
    def spaces(self) -> tuple[str, ...]:
        """Names of the spaces in the order of their appearance."""
        names = [name for edge in self.edges for name in (edge.fixed, edge.moving)]
        return tuple(dict.fromkeys(names))

    def between(self, fixed: str, moving: str) -> Transform:
        """The map from `fixed` to `moving` along the path with the fewest registrations.

        Raises
        ------
        TransformError
            If a space is unknown or no path connects them.
        """
        for name in (fixed, moving):
            if name not in self.spaces:
                known = ", ".join(self.spaces) or "none"
                raise TransformError(f"there is no space {name!r}; the spaces are: {known}")
        if fixed == moving:
            return Affine.identity()
        steps = self._path(fixed, moving)
        if steps is None:
            raise TransformError(f"no registration connects {fixed!r} with {moving!r}")
        return steps[0] if len(steps) == 1 else Chain(*steps)

    def _path(self, start: str, goal: str) -> list[Transform] | None:
        reached: dict[str, list[Transform]] = {start: []}
        queue = deque([start])
        while queue:
            here = queue.popleft()
            for edge in self.edges:
                for a, b, forward in (
                    (edge.fixed, edge.moving, True),
                    (edge.moving, edge.fixed, False),
                ):
                    if a == here and b not in reached:
                        step = edge.transform if forward else edge.transform.inverse()
                        reached[b] = [*reached[here], step]
                        queue.append(b)
        return reached.get(goal)
