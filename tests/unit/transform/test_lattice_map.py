"""The quick map against the plain one: never further off than it says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

from napari_bridgecorr.fitting import FitOptions, fit
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.landmarks import LandmarkSet
from napari_bridgecorr.transform import Affine, Chain, KernelMap, ThinPlateSpline, Transform
from napari_bridgecorr.transform.lattice_bound import OUTSIDE, derivative_bound, polynomials
from napari_bridgecorr.transform.lattice_map import LatticeMap

SHAPE = (20, 70, 90)


def oblique_grid() -> Grid:
    angle = np.deg2rad(12)
    turn = np.array(
        [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    )
    matrix = np.eye(4)
    matrix[:3, :3] = turn @ np.diag([15.0, 4.0, 4.0])
    matrix[:3, 3] = [100, -50, 30]
    return Grid(SHAPE, matrix)


def spline(n: int, dimensions: int = 3, bend_um: float = 8.0) -> ThinPlateSpline:
    rng = np.random.default_rng(n)
    fixed = oblique_grid().to_world(rng.uniform(-5, 1, (n, 3)) + rng.uniform(0, 1, (n, 3)) * SHAPE)
    moving = fixed @ np.diag([1.0, 1.05, 0.97]) + rng.normal(0, bend_um, (n, 3))
    pairs = LandmarkSet.from_pairs(fixed, moving).pairs()
    transform = fit(pairs, FitOptions("tps", 0.0, dimensions)).transform
    assert isinstance(transform, ThinPlateSpline)
    return transform


def quick(transform: Transform, tolerance: float) -> LatticeMap:
    grid = oblique_grid()
    found = transform.lattice_map(grid.index_to_world, grid.world_to_index)
    assert found is not None
    return found.planned(SHAPE, tolerance)


def whole() -> tuple[NDArray[np.float64], ...]:
    return tuple(np.arange(n, dtype=np.float64) for n in SHAPE)


def exact(transform: Transform, axes: tuple[NDArray[np.float64], ...]) -> NDArray[np.float64]:
    grid = oblique_grid()
    index = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return np.asarray(grid.to_index(transform.map(grid.to_world(index))))


@pytest.mark.parametrize("dimensions", [3, 2])
@pytest.mark.parametrize("n", [8, 40, 150])
@pytest.mark.parametrize("tolerance", [0.2, 0.02, 0.002])
def test_no_voxel_is_further_off_than_stated(n: int, dimensions: int, tolerance: float) -> None:
    transform = spline(n, dimensions)
    found = quick(transform, tolerance)
    off = np.linalg.norm(found.positions(whole()) - exact(transform, whole()), axis=1).max()
    assert off <= found.error_bound_voxels + 1e-9
    assert found.error_bound_voxels <= tolerance


def test_large_lattices_get_a_coarse_grid() -> None:
    found = quick(spline(40), 0.02)
    assert found.levels
    assert found.error_bound_voxels > 0


@pytest.mark.parametrize("dimensions", [3, 2])
def test_without_a_tolerance_it_is_exact(dimensions: int) -> None:
    transform = spline(20, dimensions)
    found = quick(transform, 0.0)
    assert found.levels == ()
    np.testing.assert_allclose(found.positions(whole()), exact(transform, whole()), atol=1e-9)


def test_fractions_of_indices_are_mapped_as_well() -> None:
    transform = spline(40)
    axes = tuple(np.sort(np.random.default_rng(1).uniform(0, n - 1, 15)) for n in SHAPE)
    found = quick(transform, 0.02)
    off = np.linalg.norm(found.positions(axes) - exact(transform, axes), axis=1).max()  # type: ignore[arg-type]
    assert off <= found.error_bound_voxels


def test_a_part_of_a_lattice_is_mapped_as_in_the_whole() -> None:
    found = quick(spline(40), 0.02)
    every = found.positions(whole()).reshape(*SHAPE, 3)  # type: ignore[arg-type]
    z, y, x = whole()
    part = found.positions((z[3:9], y[11:50], x[37:])).reshape(6, 39, 53, 3)
    np.testing.assert_allclose(part, every[3:9, 11:50, 37:], atol=1e-10)


def test_affine_parts_of_a_chain_are_folded() -> None:
    before = Affine.from_parts(np.diag([1.1, 0.9, 1.0]), [3, 4, 5])
    after = Affine.from_parts(np.eye(3) + 0.1, [-7, 0, 2])
    chain = Chain(before, spline(20), after)
    np.testing.assert_allclose(
        quick(chain, 0.0).positions(whole()), exact(chain, whole()), atol=1e-8
    )
    assert Chain(spline(8), spline(9)).lattice_map(np.eye(4), np.eye(4)) is None
    affine = Chain(before, after)
    assert quick(affine, 0.02).is_affine
    np.testing.assert_allclose(
        quick(affine, 0.02).positions(whole()), exact(affine, whole()), atol=1e-9
    )


def largest_within(kind: int, radius: float) -> float:
    """Largest fourth derivative of the polynomial along any line within the radius."""
    p = Polynomial(polynomials(kind, np.array([radius]))[0])
    q, share = np.meshgrid(np.linspace(0, 1, 801), np.linspace(0, 1, 401))
    t2, e = q * share, q - 1
    # of P(q) with q = t^2 + b^2, by t: 12 P_qq + 48 t^2 P_qqq + 16 t^4 P_qqqq
    fourth = 12 * p.deriv(2)(e) + 48 * t2 * p.deriv(3)(e) + 16 * t2**2 * p.deriv(4)(e)
    return float(np.abs(fourth).max()) / radius**4


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize("radius", [0.3, 2.0])
def test_the_fourth_derivative_within_the_radius(kind: int, radius: float) -> None:
    bound = derivative_bound(0.0, radius, kind)
    assert 0.98 * bound < largest_within(kind, radius) <= bound


@pytest.mark.parametrize("kind", [2, 3, 4])
@pytest.mark.parametrize("radius", [0.02, 0.2, 1.0, 5.0])
def test_the_same_of_the_matern_kernels(kind: int, radius: float) -> None:
    bound = derivative_bound(0.0, radius, kind)
    assert 0.3 * bound < largest_within(kind, radius) <= bound


KERNELS: list[Callable[[Any], Any]] = [
    lambda r: -r,
    lambda r: r**2 * np.log(r),
    lambda r: np.exp(-r),
    lambda r: (1 + r) * np.exp(-r),
    lambda r: (1 + r + r**2 / 3) * np.exp(-r),
]


@pytest.mark.parametrize("kind", range(5))
def test_the_polynomial_joins_the_kernel(kind: int) -> None:
    """In value and three derivatives: what is left falls with the fourth power of e."""
    radius = 1.2
    p = Polynomial(polynomials(kind, np.array([radius]))[0])
    for e in (-0.04, -0.02, 0.02, 0.04):
        assert abs(p(e) - KERNELS[kind](radius * np.sqrt(1 + e))) < 0.2 * e**4
    assert p(0) == pytest.approx(KERNELS[kind](radius), abs=1e-14)


@pytest.mark.parametrize("kind", [2, 3, 4])
def test_the_fourth_derivative_of_matern_kernels_beyond_the_radius(kind: int) -> None:
    h, t = 1e-2, np.linspace(-3, 3, 61)
    steps = np.array([1, -4, 6, -4, 1])
    for b in (0.1, 0.4, 1.0, 3.0):
        r = np.sqrt(b**2 + (t[:, None] + h * np.arange(-2, 3)) ** 2)
        fourth = KERNELS[kind](r) @ steps / h**4
        bounds = np.array([derivative_bound(v, 0.05, kind) for v in r.min(axis=1)])
        assert np.all(np.abs(fourth) <= bounds + 1e-3)
    distances = np.linspace(0.05, 20, 500)
    bounds = np.array([derivative_bound(v, 0.05, kind) for v in distances])
    assert np.all(np.diff(bounds) < 0)


@pytest.mark.parametrize("dimensions", [3, 2])
@pytest.mark.parametrize("kernel", ["matern12", "matern32", "matern52"])
def test_gaussian_process_maps(kernel: str, dimensions: int) -> None:
    rng = np.random.default_rng(5)
    grid = oblique_grid()
    fixed = grid.to_world(rng.uniform(0, 1, (40, 3)) * SHAPE)
    transform = KernelMap(
        fixed, fixed + 3, rng.normal(0, 12, (40, 3)), rng.normal(size=(3, 4)) * 50,
        fixed.mean(axis=0), 120.0, kernel, [160.0, 90.0, 120.0], 0.1, dimensions,
    )  # fmt: skip
    plain = quick(transform, 0.0)
    np.testing.assert_allclose(plain.positions(whole()), exact(transform, whole()), atol=1e-9)
    for tolerance in (0.1, 0.01):
        found = quick(transform, tolerance)
        off = np.linalg.norm(found.positions(whole()) - exact(transform, whole()), axis=1).max()
        assert off <= found.error_bound_voxels + 1e-9
        assert found.error_bound_voxels <= tolerance
        assert found.levels or tolerance < 0.1


def test_the_fourth_derivative_beyond_the_radius() -> None:
    """Of r: 3 (1 - s)(5 s - 1) / r^3; of r^2 log r: (6 - 24 s + 16 s^2) / r^2; s = (t / r)^2."""
    s = np.linspace(0, 1, 10_001)
    assert np.abs(3 * (1 - s) * (5 * s - 1)).max() <= OUTSIDE[0]
    assert np.abs(6 - 24 * s + 16 * s**2).max() <= OUTSIDE[1]
    # by differences, at b = 1
    h, t = 1e-2, np.linspace(-2, 2, 41)
    steps = np.array([1, -4, 6, -4, 1])
    r = np.sqrt(1 + (t[:, None] + h * np.arange(-2, 3)) ** 2)
    for kernel, form in (
        (r, lambda s, r: 3 * (1 - s) * (5 * s - 1) / r**3),
        (r**2 * np.log(r), lambda s, r: (6 - 24 * s + 16 * s**2) / r**2),
    ):
        centre = r[:, 2]
        np.testing.assert_allclose(
            kernel @ steps / h**4, form((t / centre) ** 2, centre), atol=5e-3
        )
