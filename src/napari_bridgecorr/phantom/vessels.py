"""A cortical vascular tree grown at random: pial network, penetrating vessels, fine branches.

All vessels grow at once, one step at a time, so that each step is a few array operations.
Positions are (z, y, x) in um in the two-photon world, z being depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from .growth import Grown, Tips, close_loops, link
from .room import Crowding, Room, Surface
from .tubes import Tubes

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

PIAL, PENETRATING, FINE = 0, 1, 2

# below this a pial vessel turns and dives, below the second a penetrating one loses its bearing
_DIVE_RADIUS_UM = 13.0
_FINE_RADIUS_UM = 7.0
# mean length between branchings: of the order of what cortical maps show (Blinder et al. 2013)
_BRANCHING_LENGTH_UM = np.array([190.0, 100.0, 120.0])
# standard deviation of the change of direction over 100 um
_TORTUOSITY = np.array([0.28, 0.22, 0.75])
# turn towards emptier tissue per 10 um: vessels grow where oxygen is short
_SHYNESS = np.array([0.08, 0.01, 0.07])
_DIVER_SPACING_UM = 150.0
_LOOK_ROUND_EVERY = 4
_SURFACE_GAP_UM = 8.0
_MAX_STEPS = 4000


@dataclass(frozen=True, eq=False)
class VesselTree:
    """Vessels and where they branch.

    Parameters
    ----------
    tubes : Tubes
        Pieces of vessel.
    junctions_um : (m, 3) float64
        Bifurcations.
    parent_radius_um : (m,) float64
        Radius of the vessel that divides.
    child_radius_um : (m, 2) float64
        Radii of the two it divides into, by Murray's law: the cubes of the radii are conserved.
    """

    tubes: Tubes
    junctions_um: FloatArray
    parent_radius_um: FloatArray
    child_radius_um: FloatArray


def grow_vessels(
    rng: np.random.Generator,
    lower_um: ArrayLike,
    upper_um: ArrayLike,
    surface: Surface,
    trunk_radius_um: float = 40.0,
    min_radius_um: float = 4.0,
    trunks_per_mm2: float = 2.0,
) -> VesselTree:
    """Grow vessels within a box.

    Parameters
    ----------
    rng : Generator
        Source of all chance.
    lower_um, upper_um : (3,) array-like
        Corners of the box; a vessel that leaves it is not followed.
    surface : Surface
        On which the pial vessels run.
    trunk_radius_um, min_radius_um : float
        Radius of the largest pial vessels, and of the finest that are followed.
    trunks_per_mm2 : float
        Pial trunks per area of the window.
    """
    lower = np.asarray(lower_um, dtype=np.float64)
    upper = np.asarray(upper_um, dtype=np.float64)
    tips = _trunks(rng, lower, upper, surface, trunk_radius_um, trunks_per_mm2)
    grown = Grown()
    room = Room(lower, upper, surface, Crowding(lower, upper), Crowding(lower, upper))
    _grow_all(rng, tips, room, min_radius_um, grown)
    _grow_all(rng, _divers_in_gaps(rng, room, grown), room, min_radius_um, grown)
    close_loops(rng, grown, min_radius_um)
    rows = np.concatenate(grown.pieces)
    nodes = np.concatenate([*grown.junctions, np.empty((0, 6))])
    return VesselTree(
        Tubes(rows[:, :3], rows[:, 3:6], rows[:, 6], rows[:, 7]),
        nodes[:, :3],
        nodes[:, 3],
        nodes[:, 4:],
    )


def _grow_all(
    rng: np.random.Generator, tips: Tips, room: Room, min_radius_um: float, grown: Grown
) -> None:
    """Grow the tips and all that branches off them until nothing is left to grow."""
    for i in range(_MAX_STEPS):
        if len(tips.radius) == 0:
            break
        if i % _LOOK_ROUND_EVERY == 0:
            room.look(grown.pieces)
        _step(rng, tips, room, grown)
        tips = tips.chosen(np.all((tips.position > room.lower) & (tips.position < room.upper), 1))
        due = tips.left <= 0
        children = _branch(rng, tips.chosen(due), min_radius_um, grown)
        tips = tips.chosen(~due).joined(children)


def _divers_in_gaps(rng: np.random.Generator, room: Room, grown: Grown) -> Tips:
    """More penetrating vessels where none is near, each fed by the nearest pial vessel."""
    rows = np.concatenate(grown.pieces)
    below = rows[:, 3] - room.surface.z(rows[:, 4], rows[:, 5])
    sites = np.stack(
        np.meshgrid(
            *(
                np.arange(room.lower[a] + _DIVER_SPACING_UM / 2, room.upper[a], _DIVER_SPACING_UM)
                for a in (1, 2)
            ),
            indexing="ij",
        ),
        axis=-1,
    ).reshape(-1, 2)
    sites = sites + rng.uniform(-0.35, 0.35, sites.shape) * _DIVER_SPACING_UM
    # thick vessels deep down are penetrating ones
    divers = rows[(below > 120) & (rows[:, 7] > _FINE_RADIUS_UM), 4:6]
    if len(divers):
        sites = sites[cKDTree(divers).query(sites)[0] > 0.62 * _DIVER_SPACING_UM]
    pial = rows[below < 60, 3:]
    _, which = cKDTree(pial[:, 1:3]).query(sites)
    feeder = pial[which]
    radius = rng.uniform(0.5, 0.9, len(sites)) * np.minimum(feeder[:, 4], 26.0)
    radius = np.maximum(radius, 10.0)
    depth = room.surface.z(sites[:, 0], sites[:, 1]) + radius + _SURFACE_GAP_UM
    goal = np.column_stack([depth, sites])
    link(rng, feeder[:, :3], goal, 0.25 * _DIVER_SPACING_UM, radius, grown)
    kind = np.full(len(sites), PENETRATING, dtype=np.int64)
    still = np.zeros((len(sites), 3))
    direction = (goal - feeder[:, :3]) / (
        np.linalg.norm(goal - feeder[:, :3], axis=1, keepdims=True) + 1e-9
    )
    direction = direction * [0.0, 0.5, 0.5] + [1.0, 0.0, 0.0]
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return Tips(goal, direction, still, radius, radius, _lengths(rng, kind), kind)


def _trunks(
    rng: np.random.Generator,
    lower: FloatArray,
    upper: FloatArray,
    surface: Surface,
    radius: float,
    per_mm2: float,
) -> Tips:
    """Pial trunks entering through the sides of the box, evenly round it but for chance."""
    size = upper[1:] - lower[1:]
    n = max(3, round(float(np.prod(size)) * 1e-6 * per_mm2))
    along = (np.arange(n) + rng.uniform(0.1, 0.9, n)) / n * 4
    side, where = along.astype(np.int64), along % 1
    # the four sides in turn round the box: top, right, bottom, left
    y = np.choose(side, [0 * where, where, 0 * where + 1, 1 - where])
    x = np.choose(side, [where, 0 * where + 1, 1 - where, 0 * where])
    yx = lower[1:] + np.column_stack([y, x]) * size * 0.998 + 0.001 * size
    inward = np.choose(side, [0.5, 1.0, -0.5, 0.0]) * np.pi + rng.normal(0, 0.45, n)
    r = radius * rng.uniform(0.55, 1.0, n)
    r[0] = radius
    position = np.column_stack([surface.z(yx[:, 0], yx[:, 1]) + r + _SURFACE_GAP_UM, yx])
    direction = np.column_stack([np.zeros(n), np.sin(inward), np.cos(inward)])
    kind = np.full(n, PIAL, dtype=np.int64)
    return Tips(position, direction, np.zeros((n, 3)), r, r, _lengths(rng, kind), kind)


def _step(rng: np.random.Generator, tips: Tips, room: Room, grown: Grown) -> None:
    """Let every tip grow by about its own radius, turning gently."""
    n = len(tips.radius)
    step = np.minimum(np.clip(0.9 * tips.radius, 9.0, 20.0), np.maximum(tips.left, 4.0))
    # directions drift with a memory of some steps: smooth bends instead of a jagged path
    kick = rng.normal(size=(n, 3)) * (_TORTUOSITY[tips.kind] * np.sqrt(step / 100))[:, None]
    tips.bend = 0.75 * tips.bend + 0.45 * kick
    heading = tips.direction + tips.bend
    away = np.where(
        (tips.kind == PIAL)[:, None],
        room.pial.way_out(tips.position),
        room.all.way_out(tips.position),
    )
    heading += (_SHYNESS[tips.kind] * step / 10)[:, None] * away
    below = tips.position[:, 0] - room.surface.z(tips.position[:, 1], tips.position[:, 2])
    pial = tips.kind == PIAL
    heading[pial, 0] = np.clip(0.02 * (tips.radius + _SURFACE_GAP_UM - below)[pial], -0.25, 0.25)
    heading[tips.kind == PENETRATING, 0] += 0.07
    shallow = (tips.kind == FINE) & (below < 45)
    heading[shallow, 0] += 0.25
    tips.direction = heading / np.linalg.norm(heading, axis=1, keepdims=True)
    start = tips.position
    tips.position = start + tips.direction * step[:, None]
    tips.left = tips.left - step
    grown.pieces.append(np.column_stack([start, tips.position, tips.previous_radius, tips.radius]))
    tips.previous_radius = tips.radius


def _branch(rng: np.random.Generator, tips: Tips, min_radius_um: float, grown: Grown) -> Tips:
    """Divide the tips in two each; end those whose branches would be too fine to follow."""
    n = len(tips.radius)
    r = tips.radius
    # ratio of the lesser branch to the parent, by kind: pial vessels shed small divers
    low = np.array([0.42, 0.36, 0.62])[tips.kind]
    high = np.array([0.74, 0.58, 0.79])[tips.kind]
    lesser = r * rng.uniform(low, high)
    diver = (tips.kind == PIAL) & (rng.random(n) < 0.62)
    lesser = np.where(diver, np.clip(lesser, 0.0, 26.0), lesser)
    greater = np.cbrt(r**3 - lesser**3)
    followed = greater >= min_radius_um
    grown.ends.append(np.column_stack([tips.position, tips.direction])[~followed])
    tips, lesser, greater, diver = (
        tips.chosen(followed), lesser[followed], greater[followed], diver[followed],
    )  # fmt: skip
    if len(lesser) == 0:
        return tips
    axis = _sideways(rng, tips)
    # the lesser branch leaves at the wider angle (Murray 1926)
    share = (lesser / greater) ** 2
    wide = np.where(tips.kind == FINE, 0.75, 1.15) * rng.uniform(0.8, 1.2, len(share))
    main = _turned(tips.direction, -axis, 0.6 * share * wide)
    side = _turned(tips.direction, axis, wide)
    down = np.column_stack([np.full(len(share), 2.2), side[:, 1:]])
    side = np.where(diver[:, None], down / np.linalg.norm(down, axis=1, keepdims=True), side)
    # a side branch too fine to follow leaves no fork to be seen
    forks = lesser >= min_radius_um
    nodes = np.column_stack([tips.position, tips.radius, greater, lesser])
    grown.junctions.append(nodes[forks])
    kinds = _next_kind(tips.kind, greater)
    side_kinds = np.where(
        diver, PENETRATING, np.where(tips.kind == PENETRATING, FINE, _next_kind(tips.kind, lesser))
    )
    still = np.zeros_like(tips.position)
    first = Tips(tips.position, main, still, greater, tips.radius, _lengths(rng, kinds), kinds)
    second = Tips(tips.position, side, still, lesser, lesser, _lengths(rng, side_kinds), side_kinds)
    return first.joined(second.chosen(forks))


def _next_kind(kind: IntArray, radius: FloatArray) -> IntArray:
    """What a vessel becomes when it has got thinner."""
    out = np.where((kind == PIAL) & (radius < _DIVE_RADIUS_UM), PENETRATING, kind)
    return np.where((out == PENETRATING) & (radius < _FINE_RADIUS_UM), FINE, out)


def _lengths(rng: np.random.Generator, kind: IntArray) -> FloatArray:
    """(n,) lengths (um) up to the next branching."""
    return _BRANCHING_LENGTH_UM[kind] * rng.gamma(4.0, 0.25, len(kind))


def _sideways(rng: np.random.Generator, tips: Tips) -> FloatArray:
    """(n, 3) unit directions across each tip's own; within the surface for pial vessels."""
    draw = rng.normal(size=tips.direction.shape)
    draw[tips.kind == PIAL, 0] = 0.0
    # penetrating vessels send their branches out level
    draw[tips.kind == PENETRATING, 0] *= 0.3
    along = np.sum(draw * tips.direction, axis=1, keepdims=True) * tips.direction
    across = draw - along
    return np.asarray(across / np.linalg.norm(across, axis=1, keepdims=True), dtype=np.float64)


def _turned(direction: FloatArray, towards: FloatArray, angle: FloatArray) -> FloatArray:
    """Directions turned by `angle` (rad) towards a perpendicular unit direction."""
    return np.cos(angle)[:, None] * direction + np.sin(angle)[:, None] * towards
