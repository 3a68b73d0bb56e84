"""Tubes, vessels and the filling of voxels, against formulas and brute force."""

import os

import numpy as np
import pytest

from napari_bridgecorr.errors import Cancelled
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.phantom import Phantom, PhantomOptions
from napari_bridgecorr.phantom.room import Surface
from napari_bridgecorr.phantom.tissue import Tissue, fill_fractions
from napari_bridgecorr.phantom.tubes import TubeIndex, Tubes
from napari_bridgecorr.phantom.vessels import VesselTree, grow_vessels
from napari_bridgecorr.progress import Silent

BOX = (np.zeros(3), np.full(3, 200.0))
NO_TUBES = Tubes(np.empty((0, 3)), np.empty((0, 3)), np.empty(0), np.empty(0))
SURFACE = Surface(-1000.0, 0.0, (0.0, 0.0))


def random_tubes(n: int) -> Tubes:
    rng = np.random.default_rng(2)
    start = rng.uniform(20, 180, (n, 3))
    end = start + rng.normal(0, 15, (n, 3))
    end[:5] = start[:5]
    return Tubes(start, end, rng.uniform(2, 12, n), rng.uniform(2, 12, n))


def brute_distance(tubes: Tubes, points: np.ndarray) -> np.ndarray:
    """Distances by a plain loop over the tubes."""
    best = np.full(len(points), np.inf)
    rows = zip(
        tubes.start_um, tubes.end_um, tubes.start_radius_um, tubes.end_radius_um, strict=True
    )
    for a, b, ra, rb in rows:
        axis = b - a
        squared = axis @ axis
        t = np.clip((points - a) @ axis / squared, 0, 1) if squared > 0 else np.zeros(len(points))
        gap = np.linalg.norm(points - a - t[:, None] * axis, axis=1)
        best = np.minimum(best, gap - ra - t * (rb - ra))
    return best


@pytest.mark.parametrize("cell_um", [9.0, 40.0])
def test_distance_is_exact_within_reach(cell_um: float) -> None:
    tubes = random_tubes(60)
    points = np.random.default_rng(3).uniform(0, 200, (5000, 3))
    index = TubeIndex.build(tubes, *BOX, cell_um=cell_um, reach_um=20.0)
    expected = np.minimum(brute_distance(tubes, points), 20.0)
    np.testing.assert_allclose(index.distance(points), expected, rtol=0, atol=1e-9)


def test_outside_the_box_there_is_nothing() -> None:
    index = TubeIndex.build(random_tubes(60), *BOX)
    assert index.distance([[-1.0, 50.0, 50.0]])[0] == index.reach_um


@pytest.mark.parametrize(
    ("radius", "length", "spacing", "cuts", "scatter"),
    [
        (30.0, 80.0, 10.0, 2, 0.002),
        (30.0, 0.0, 10.0, 2, 0.002),
        # boxes of 6.25 um, as the MRI's, are wider than these radii: single objects scatter
        (4.0, 120.0, 50.0, 8, 0.03),
        (6.5, 4.0, 50.0, 8, 0.04),
    ],
)
def test_volume_of_a_capsule(
    radius: float, length: float, spacing: float, cuts: int, scatter: float
) -> None:
    """Vessels and cells keep their volume, in voxels as large as the MRI's too."""
    rng = np.random.default_rng(4)
    ratios = []
    for _ in range(60):
        axis = rng.normal(size=3)
        axis *= length / 2 / np.linalg.norm(axis)
        middle = 100 + rng.uniform(-25, 25, 3)
        ends = np.array([middle - axis]), np.array([middle + axis])
        tissue = Tissue(Tubes(*ends, *np.full((2, 1), radius)), NO_TUBES, SURFACE, *BOX)
        n = round(200 / spacing)
        grid = Grid.from_spacing((n, n, n), spacing, np.full(3, spacing / 2))
        part = fill_fractions(tissue, grid, None, grid, (cuts, cuts, cuts), Silent())[0]
        volume = np.pi * radius**2 * length + 4 / 3 * np.pi * radius**3
        ratios.append(part.sum(dtype=np.float64) * spacing**3 / volume)
    assert np.std(ratios) < scatter
    # without the correction for curvature the third would be 20 % too large
    assert abs(np.mean(ratios) - 1) < 0.001 + 0.4 * scatter


def test_one_look_at_small_voxels_changes_nothing() -> None:
    """Voxels that no surface passes are not cut up; the answer is that of cutting all."""
    tissue = Tissue(random_tubes(40), random_tubes(7), Surface(50.0, 1e-3, (100.0, 80.0)), *BOX)
    grid = Grid.from_spacing((12, 14, 13), (10.0, 8.0, 8.0), (25.0, 40.0, 50.0))
    window = Grid.from_spacing((10, 10, 10), 10.0, (60.0, 50.0, 60.0))
    part = fill_fractions(tissue, grid, None, window, (2, 2, 2), Silent())
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1).reshape(-1, 3)
    shifts = np.stack(np.meshgrid(*[(-0.25, 0.25)] * 3, indexing="ij"), -1).reshape(-1, 3)
    edge = np.mean(np.asarray(grid.voxel_size_um) / 2)
    low, high = window.corners().min(axis=0), window.corners().max(axis=0)
    brain, covered = np.zeros(len(index)), np.zeros(len(index))
    for shift in shifts:
        p = grid.to_world(index + shift)
        brain += np.clip(0.5 - (tissue.surface.z(p[:, 1], p[:, 2]) - p[:, 0]) / edge, 0, 1) / 8
        outside = np.max(np.maximum(low - p, p - high), axis=1)
        covered += np.clip(0.5 - outside / edge, 0, 1) / 8
    np.testing.assert_allclose(part[2].ravel(), brain, rtol=0, atol=1e-6)
    np.testing.assert_allclose(part[3].ravel(), covered, rtol=0, atol=1e-6)
    hard = np.zeros(len(index))
    fine = (np.arange(6) + 0.5) / 6 - 0.5
    for shift in np.stack(np.meshgrid(fine, fine, fine, indexing="ij"), -1).reshape(-1, 3):
        hard += (brute_distance(tissue.vessels, grid.to_world(index + shift)) < 0) / 216
    error = part[0].ravel() - hard
    assert np.sqrt(np.mean(error**2)) < 0.02
    assert abs(np.mean(error)) < 0.001


def test_mri_fractions_are_volume_averages(small_phantom: Phantom) -> None:
    """Against 15^3 points per voxel, carried through the truth, on voxels with vessels."""
    p = small_phantom
    flat = np.argsort(p.vessel_fraction.ravel())[-60::2]
    index = np.stack(np.unravel_index(flat, p.vessel_fraction.shape), axis=1)
    fine = (np.arange(15) + 0.5) / 15 - 0.5
    shifts = np.stack(np.meshgrid(fine, fine, fine, indexing="ij"), -1).reshape(-1, 3)
    points = p.truth.map(p.mri.grid.to_world((index[:, None] + shifts[None]).reshape(-1, 3)))
    low, high = points.min(axis=0) - 1, points.max(axis=0) + 1
    inside = TubeIndex.build(p.vessels.tubes, low, high).distance(points) < 0
    expected = inside.reshape(len(index), -1).mean(axis=1)
    error = p.vessel_fraction[tuple(index.T)] - expected
    assert expected.mean() > 0.1
    assert np.sqrt(np.mean(error**2)) < 0.004
    covered = p.two_photon.grid.contains(points).reshape(len(index), -1).mean(axis=1)
    np.testing.assert_allclose(p.coverage[tuple(index.T)], covered, rtol=0, atol=0.02)


def test_tumour_cells_keep_clear_of_vessels(small_phantom: Phantom) -> None:
    p = small_phantom
    assert p.tumour_fraction.max() > 0.2
    assert np.all(p.vessel_fraction + p.tumour_fraction <= 1 + 1e-3)


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    tissue = Tissue(random_tubes(40), random_tubes(7), SURFACE, *BOX)
    grid = Grid.from_spacing((12, 12, 12), 15.0)
    results = []
    for n in (1, 5):
        monkeypatch.setattr(os, "cpu_count", lambda n=n: n)
        results.append(fill_fractions(tissue, grid, None, grid, (3, 3, 3), Silent()))
    np.testing.assert_array_equal(*results)


def test_cancelling_stops_the_filling() -> None:
    class Impatient(Silent):
        steps = 0

        def advance(self, steps: int = 1) -> None:
            self.steps += steps
            if self.steps == 2:
                raise Cancelled

    watch = Impatient()
    grid = Grid.from_spacing((30, 5, 5), 6.0)
    tissue = Tissue(NO_TUBES, NO_TUBES, SURFACE, *BOX)
    with pytest.raises(Cancelled):
        fill_fractions(tissue, grid, None, grid, (2, 2, 2), watch)
    assert watch.steps == 2


@pytest.fixture(scope="module")
def tree() -> VesselTree:
    surface = Surface(50.0, 2e-5, (600.0, 600.0))
    return grow_vessels(np.random.default_rng(8), np.zeros(3), [700.0, 1200, 1200], surface, 34.0)


def test_murrays_law(tree: VesselTree) -> None:
    assert len(tree.junctions_um) > 100
    np.testing.assert_allclose(
        tree.parent_radius_um**3, np.sum(tree.child_radius_um**3, axis=1), rtol=1e-12
    )


def test_radii_stay_between_trunk_and_finest(tree: VesselTree) -> None:
    assert tree.tubes.end_radius_um.max() == 34.0
    assert tree.tubes.end_radius_um.min() >= 4.0


def test_every_bifurcation_is_where_three_vessels_meet(tree: VesselTree) -> None:
    ends = {tuple(row) for row in tree.tubes.end_um}
    starts = [tuple(row) for row in tree.tubes.start_um]
    times = {row: starts.count(row) for row in map(tuple, tree.junctions_um[:200])}
    assert all(row in ends for row in times)
    assert all(n == 2 for n in times.values())


def test_pial_vessels_lie_flat_and_divers_reach_down(tree: VesselTree) -> None:
    thick = tree.tubes.end_radius_um > 27
    assert tree.tubes.end_um[thick, 0].max() < 150
    assert np.sum(tree.tubes.end_um[tree.tubes.end_radius_um > 8, 0] > 600) > 20


@pytest.mark.parametrize("name", ["demo", "sample"])
def test_vessels_fill_a_few_percent(name: str) -> None:
    options: PhantomOptions = getattr(PhantomOptions, name)()
    extent = np.asarray(options.two_photon_shape) * options.two_photon_spacing_um
    rng = np.random.default_rng(1)
    surface = Surface(50.0, 0.0, (0.0, 0.0))
    tubes = grow_vessels(rng, np.zeros(3), extent, surface, options.trunk_radius_um).tubes
    volume = np.sum(np.pi * tubes.start_radius_um**2 * tubes.length_um)
    assert 0.015 < volume / np.prod(extent) < 0.06


def test_crowded_cells_fill_what_they_fill() -> None:
    """Cells that touch and overlap, in MRI voxels, against points."""
    rng = np.random.default_rng(9)
    centres = rng.uniform(0, 200, (2800, 3))
    cells = Tubes(centres, centres, *np.full((2, 2800), 6.5))
    grid = Grid.from_spacing((4, 4, 4), 50.0, np.full(3, 25.0))
    part = fill_fractions(
        Tissue(NO_TUBES, cells, SURFACE, *BOX), grid, None, grid, (8, 8, 8), Silent()
    )[1]
    fine = (np.arange(100) + 0.5) * 2
    points = np.stack(np.meshgrid(fine, fine, fine, indexing="ij"), -1).reshape(-1, 3)
    inside = TubeIndex.build(cells, *BOX).distance(points) < 0
    expected = inside.reshape(4, 25, 4, 25, 4, 25).mean(axis=(1, 3, 5))
    assert expected.mean() > 0.3
    # 512 boxes as wide as a cell's radius in each voxel: 0.02 if they were independent
    assert np.sqrt(np.mean((part - expected) ** 2)) < 0.015
    assert abs(np.mean(part - expected)) < 0.004
