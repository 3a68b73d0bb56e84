"""Points known in both images: bifurcations as a person marks them, and hidden exact targets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import GeometryError
from ..geometry import Grid
from ..landmarks import Landmark, LandmarkPairs, LandmarkSet
from .deformation import SmoothDeformation
from .options import PhantomOptions, Triple
from .room import Surface
from .vessels import VesselTree

FloatArray = NDArray[np.float64]


def mark_bifurcations(
    seed: np.random.SeedSequence,
    options: PhantomOptions,
    tree: VesselTree,
    stack: Grid,
    mri: Grid,
    truth: SmoothDeformation,
) -> LandmarkSet:
    """Bifurcations spread as widely as they are found, marked with errors on both sides.

    Raises
    ------
    GeometryError
        If too few bifurcations of the stated radius lie within both images.
    """
    moving = tree.junctions_um[tree.parent_radius_um >= options.landmark_min_radius_um]
    moving = moving[stack.contains(moving)]
    fixed = truth.inverse().map(moving)
    both = np.all(np.isfinite(fixed), axis=1) & mri.contains(fixed)
    fixed, moving = fixed[both], moving[both]
    n = options.n_landmarks
    if len(fixed) < n:
        raise GeometryError(
            f"only {len(fixed)} bifurcations of vessels of {options.landmark_min_radius_um:g} um "
            f"radius or more lie within both images, fewer than the {n} landmarks asked for; ask "
            f"for fewer, lower the radius or image a larger volume"
        )
    rng = np.random.default_rng(seed)
    chosen = _well_spread(moving, n)
    fixed = fixed[chosen] + rng.normal(0, 1, (n, 3)) * options.mri_localisation_um
    moving = moving[chosen] + rng.normal(0, 1, (n, 3)) * options.two_photon_localisation_um
    digits = max(2, len(str(n)))
    return LandmarkSet(
        tuple(
            Landmark(f"L{i + 1:0{digits}d}", f"bifurcation {i + 1}", True, _triple(f), _triple(m))
            for i, (f, m) in enumerate(zip(fixed, moving, strict=True))
        )
    )


def _well_spread(points: FloatArray, n: int) -> NDArray[np.int64]:
    """Numbers of n points, each the farthest from those before it, the first from the middle."""
    chosen = np.empty(n, dtype=np.int64)
    gap = -np.inf * np.ones(len(points))
    for i in range(n):
        if i == 0:
            chosen[0] = int(np.argmax(np.linalg.norm(points - points.mean(axis=0), axis=1)))
            gap = np.full(len(points), np.inf)
        else:
            chosen[i] = int(np.argmax(gap))
        gap = np.minimum(gap, np.linalg.norm(points - points[chosen[i]], axis=1))
    return chosen


def place_targets(
    seed: np.random.SeedSequence,
    options: PhantomOptions,
    tree: VesselTree,
    surface: Surface,
    stack: Grid,
    mri: Grid,
    truth: SmoothDeformation,
) -> LandmarkPairs:
    """Exact pairs: half anywhere in the brain, half on vessels."""
    rng = np.random.default_rng(seed)
    n = options.n_targets
    size = np.asarray(mri.shape)
    fixed_parts: list[FloatArray] = []
    found = 0
    while found < n - n // 2:
        fixed = mri.to_world(rng.uniform(-0.5, size - 0.5, (2 * n, 3)))
        moving = truth.map(fixed)
        brain = moving[:, 0] > surface.z(moving[:, 1], moving[:, 2])
        fixed_parts.append(fixed[stack.contains(moving) & brain])
        found += len(fixed_parts[-1])
    anywhere = np.concatenate([*fixed_parts, np.empty((0, 3))])[: n - n // 2]
    axes = tree.tubes.start_um
    axes = axes[stack.contains(axes)]
    back = truth.inverse().map(rng.permutation(axes)[: 4 * n])
    back = back[np.all(np.isfinite(back), axis=1)]
    fixed = np.concatenate([anywhere, back[mri.contains(back)][: n // 2]])
    ids = tuple(f"T{i + 1:04d}" for i in range(len(fixed)))
    return LandmarkPairs(ids, fixed, truth.map(fixed))


def _triple(values: FloatArray) -> Triple:
    z, y, x = (float(v) for v in values)
    return z, y, x
