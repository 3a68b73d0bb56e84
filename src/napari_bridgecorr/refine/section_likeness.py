"""How alike a section and a volume are at a pose, and the better pose nearby."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..geometry import Grid
from ..landmarks import LandmarkPairs
from .section_kernels import mutual_information, sample_slab
from .section_pose import SectionPose

FloatArray = NDArray[np.float64]
Freedom = Literal["rigid", "affine", "bent"]

# neighbouring pixels tell the same: so many count as one
_PIXELS_PER_FACT = 6.0
_LEAST_OVERLAP = 0.5
_RANGE = (0.5, 99.5)
_MOST_BINS, _FEWEST_BINS = 32, 10


@dataclass(frozen=True, eq=False)
class Scene:
    """A section's pixels and a volume, as they are compared.

    Parameters
    ----------
    points_um : (n, 2) float64
        (y, x) of the section's pixels in its world.
    bins : (n,) int64
        Their intensities as bins.
    n_bins : int
    volume : (z, y, x) float32
        NaN where there is nothing.
    grid : Grid
    limits : (float, float)
        Intensities of the volume that the bins span.
    offsets_um : (k,) float64
        Depths that are averaged, about the section's middle.
    """

    points_um: FloatArray
    bins: NDArray[np.int64]
    n_bins: int
    volume: NDArray[np.float32]
    grid: Grid
    limits: tuple[float, float]
    offsets_um: FloatArray

    @property
    def n_facts(self) -> float:
        """How many independent pixels the section is worth."""
        return len(self.points_um) / _PIXELS_PER_FACT

    @property
    def n_volume_bins(self) -> int:
        """Bins of the volume's histogram, its margins included."""
        return self.n_bins + 4

    def slab(self, points_um: FloatArray, normal: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Means over the thickness at world points, and their derivatives by the world, per bin."""
        to_index = self.grid.world_to_index
        index = self.grid.to_index(points_um)
        offsets = self.offsets_um[:, None] * (to_index[:3, :3] @ normal)
        values, slopes = sample_slab(self.volume, index, offsets)
        low, high = self.limits
        scale = self.n_bins / (high - low)
        bins = 1.5 + (values - low) * scale
        inside = (bins > 1.0) & (bins < self.n_bins + 1.0)
        slopes = slopes @ to_index[:3, :3] * scale
        slopes[~inside] = 0.0
        with np.errstate(invalid="ignore"):
            return np.clip(bins, 1.0, self.n_bins + 1.0), slopes


@dataclass(frozen=True, eq=False)
class Prior:
    """What is known beside the images.

    Parameters
    ----------
    bend_um : float
        Standard deviation of the section's bends.
    length_um : float
        Distance over which they are alike.
    landmarks : LandmarkPairs or None
        Section (y, x), volume.
    landmark_um : float
        Their standard error per axis.
    """

    bend_um: float
    length_um: float
    landmarks: LandmarkPairs | None = None
    landmark_um: float = 1.0


def make_scene(
    values: NDArray[np.float32],
    known: NDArray[np.bool_],
    section: Grid,
    volume: NDArray[np.float32],
    grid: Grid,
    thickness_um: float,
    normal: FloatArray,
) -> Scene:
    """What :func:`likeness` takes, from a section's (1, y, x) pixels and a volume."""
    index = np.argwhere(known[0])
    points = section.to_world(np.column_stack([np.zeros(len(index)), index]))[:, 1:]
    chosen = values[0][known[0]].astype(np.float64)
    n_bins = int(np.clip(np.sqrt(len(chosen) / 12), _FEWEST_BINS, _MOST_BINS))
    low, high = np.percentile(chosen, _RANGE)
    scaled = (chosen - low) / max(high - low, 1e-12) * n_bins
    bins = np.clip(np.floor(scaled), 0, n_bins - 1).astype(np.int64)
    finite = volume[np.isfinite(volume)]
    sparse = finite[:: max(1, finite.size // 200_000)]
    limits = np.percentile(sparse, _RANGE)
    along = float(np.abs(grid.world_to_index[:3, :3] @ normal).max())
    n = int(np.clip(np.ceil(2 * thickness_um * along), 1, 16))
    offsets = ((np.arange(n) + 0.5) / n - 0.5) * thickness_um
    return Scene(points, bins, n_bins, volume, grid, (float(limits[0]), float(limits[1])), offsets)


def likeness(scene: Scene, pose: SectionPose, basis: FloatArray | None = None) -> FloatArray:
    """(n,) what each pixel gives to the mutual information (nats); NaN beside the volume."""
    places = pose.within(scene.points_um, basis)
    world = pose.plane.points(np.column_stack([np.zeros(len(places)), places]))
    values, _ = scene.slab(world, pose.plane.normal)
    _, _, parts = mutual_information(scene.bins, values, scene.n_bins, scene.n_volume_bins)
    return np.asarray(parts)


def information(scene: Scene, pose: SectionPose) -> float:
    """Mutual information (nats) per pixel of the section, those beside the volume giving none."""
    return float(np.nansum(likeness(scene, pose))) / len(scene.points_um)


def improved(
    scene: Scene,
    pose: SectionPose,
    freedom: Freedom,
    prior: Prior,
    *,
    fix_plane: bool = False,
    most_steps: int = 60,
) -> SectionPose:
    """The most likely pose near another.

    Minus the logarithm of the posterior, per independent pixel: the mutual information, what the
    bends cost under a Gaussian process, and what landmarks that are missed cost. By L-BFGS with
    exact derivatives.
    """
    from scipy.optimize import minimize

    problem = _Problem(scene, pose, freedom, prior, fix_plane)
    found = minimize(
        problem.cost,
        problem.begin(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": most_steps, "maxcor": 20, "ftol": 1e-9, "gtol": 1e-7},
    )
    return problem.pose(found.x)


class _Problem:
    """Numbers that a pose may change by, each of about unit size, and what they cost."""

    def __init__(
        self, scene: Scene, pose: SectionPose, freedom: Freedom, prior: Prior, fix_plane: bool
    ) -> None:
        self.scene, self.start, self.freedom, self.prior = scene, pose, freedom, prior
        self.centre = scene.points_um.mean(axis=0)
        extent = float(np.sqrt(np.mean(np.sum((scene.points_um - self.centre) ** 2, axis=1))))
        self.voxel = float(np.mean(scene.grid.voxel_size_um))
        self.extent = extent
        self.n_plane = 0 if fix_plane else 3
        self.n_linear = 3 if freedom == "rigid" else 6
        self.basis: FloatArray | None = None
        self.centre_basis: FloatArray | None = None
        self.root = np.empty((0, 0))
        if freedom == "bent":
            assert pose.nodes is not None
            self.basis = pose.nodes.basis(scene.points_um)
            self.centre_basis = pose.nodes.basis(self.centre[None])
            apart = pose.nodes.places_um[:, None] - pose.nodes.places_um[None]
            r2 = np.sum(apart**2, axis=2) / prior.length_um**2
            m = len(r2)
            self.root = prior.bend_um * np.linalg.cholesky(np.exp(-r2 / 2) + 1e-3 * np.eye(m))
        self.n_bend = 2 * len(self.root)
        self.n = self.n_plane + self.n_linear + self.n_bend
        landmarks = prior.landmarks
        self.marks = None if landmarks is None else landmarks.fixed_um[:, 1:]
        self.mark_basis = None
        if self.marks is not None and freedom == "bent" and pose.nodes is not None:
            self.mark_basis = pose.nodes.basis(self.marks)

    def begin(self) -> FloatArray:
        """The numbers of the pose that is begun with."""
        x = np.zeros(self.n)
        if self.n_bend and self.start.bend_um is not None:
            x[-self.n_bend :] = np.linalg.solve(self.root, self.start.bend_um).ravel()
        return x

    def pose(self, x: FloatArray) -> SectionPose:
        """The pose that numbers describe."""
        changed = self._flat(x)
        if not self.n_plane:
            return changed
        depth, slope_y, slope_x = self._plane(x)
        # slopes are about the section's middle, the plane's about its origin
        middle = self._middle(changed)
        return changed.sheared(depth - slope_y * middle[0] - slope_x * middle[1], slope_y, slope_x)

    def cost(self, x: FloatArray) -> tuple[float, FloatArray]:
        """What the pose costs, and the derivatives."""
        scene = self.scene
        flat = self._flat(x)
        world, frame = self._world(x, flat, scene.points_um, self.basis)
        values, slopes = scene.slab(world, flat.plane.normal)
        found, by_bin, _ = mutual_information(scene.bins, values, scene.n_bins, scene.n_volume_bins)
        known = np.isfinite(values)
        share = float(known.mean())
        n = len(values)
        # pixels beside the volume tell nothing; the rest tell what they tell
        cost = -found * share
        by_world = -(by_bin * share)[:, None] * np.where(known[:, None], slopes, 0.0)
        slope = self._slopes(x, flat, scene.points_um, self.basis, by_world, frame)
        if share < _LEAST_OVERLAP:
            cost += 10 * (_LEAST_OVERLAP - share) ** 2
        if self.n_bend:
            bend = x[-self.n_bend :]
            weight = 1 / (n / _PIXELS_PER_FACT)
            cost += 0.5 * weight * float(bend @ bend)
            slope[-self.n_bend :] += weight * bend
        if self.marks is not None and self.prior.landmarks is not None:
            there, frame = self._world(x, flat, self.marks, self.mark_basis)
            off = there - self.prior.landmarks.moving_um
            weight = 1 / (n / _PIXELS_PER_FACT) / self.prior.landmark_um**2
            cost += 0.5 * weight * float(np.sum(off**2))
            slope += self._slopes(x, flat, self.marks, self.mark_basis, weight * off, frame)
        return cost, slope

    def _middle(self, flat: SectionPose) -> FloatArray:
        """(2,) where the section's middle is in the plane."""
        return np.asarray(flat.within(self.centre[None], self.centre_basis)[0])

    def _plane(self, x: FloatArray) -> tuple[float, float, float]:
        if not self.n_plane:
            return 0.0, 0.0, 0.0
        lean = self.voxel / self.extent
        return float(x[0] * self.voxel), float(x[1] * lean), float(x[2] * lean)

    def _flat(self, x: FloatArray) -> SectionPose:
        """The pose with its in-plane part changed, the plane as it was."""
        start = self.start
        part = x[self.n_plane : self.n_plane + self.n_linear]
        at = start.linear @ self.centre + start.offset_um
        small = self.voxel / self.extent
        if self.freedom == "rigid":
            angle = small * part[2]
            c, s = np.cos(angle), np.sin(angle)
            linear = np.array([[c, s], [-s, c]]) @ start.linear
        else:
            linear = (np.eye(2) + small * part[2:].reshape(2, 2)) @ start.linear
        offset = at + self.voxel * part[:2] - linear @ self.centre
        changed = replace(start, linear=linear, offset_um=offset)
        if self.n_bend:
            bend = self.root @ x[-self.n_bend :].reshape(-1, 2)
            changed = replace(changed, bend_um=bend)
        return changed

    def _world(
        self, x: FloatArray, flat: SectionPose, points: FloatArray, basis: FloatArray | None
    ) -> tuple[FloatArray, tuple[FloatArray, FloatArray]]:
        depth, slope_y, slope_x = self._plane(x)
        places = flat.within(points, basis)
        away = places - self._middle(flat) if self.n_plane else places * 0
        depths = depth + away @ (slope_y, slope_x)
        return flat.plane.points(np.column_stack([depths, places])), (places, away)

    def _slopes(
        self,
        x: FloatArray,
        flat: SectionPose,
        points: FloatArray,
        basis: FloatArray | None,
        by_world: FloatArray,
        frame: tuple[FloatArray, FloatArray],
    ) -> FloatArray:
        _, slope_y, slope_x = self._plane(x)
        by_axes = by_world @ flat.plane.axes
        by_depth = by_axes[:, 0]
        _, away = frame
        slopes = np.zeros(self.n)
        small = self.voxel / self.extent
        if self.n_plane:
            slopes[0] = self.voxel * by_depth.sum()
            slopes[1:3] = small * (by_depth @ away)
        # the middle moves along: a shift of all changes no depth
        by_place = by_axes[:, 1:] + by_depth[:, None] * (slope_y, slope_x)
        k = self.n_plane
        slopes[k : k + 2] = self.voxel * by_axes[:, 1:].sum(axis=0)
        arms = (points - self.centre) @ self.start.linear.T
        if self.freedom == "rigid":
            arms = (points - self.centre) @ flat.linear.T
            slopes[k + 2] = small * float(
                np.sum(by_place[:, 0] * arms[:, 1] - by_place[:, 1] * arms[:, 0])
            )
        else:
            slopes[k + 2 : k + 6] = small * (by_place.T @ arms).ravel()
        if self.n_bend and basis is not None:
            along = basis.T @ by_place
            if self.n_plane and self.centre_basis is not None:
                along -= self.centre_basis.T @ (by_depth.sum() * np.array([[slope_y, slope_x]]))
            slopes[-self.n_bend :] = (self.root.T @ along).ravel()
        return slopes
