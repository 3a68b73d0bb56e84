"""Planes found in samples whose plane is known, and refused in those that have none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from window_samples import Sample, mri, spatial, two_photon

from napari_bridgecorr.errors import GeometryError
from napari_bridgecorr.geometry import Grid, Plane
from napari_bridgecorr.surface import DetectOptions, detect_plane

WINDOW, SURFACE = DetectOptions("window"), DetectOptions("surface")


def errors(sample: Sample, plane: Plane) -> tuple[float, float]:
    """Angle (degrees, over 90 if the normal points out of the tissue) and distance (um)."""
    cosine = float(np.clip(plane.normal @ sample.normal, -1, 1))
    return float(np.rad2deg(np.arccos(cosine))), float(plane.place(sample.point_um[None])[0, 0])


@pytest.mark.parametrize(
    ("changes", "angle", "distance"),
    [
        ({}, 0.5, 1.5),
        ({"y_degrees": 0, "x_degrees": 0}, 0.5, 1.5),
        ({"y_degrees": 20, "x_degrees": 15}, 0.5, 1.5),
        ({"tissue": 1.5}, 1.0, 4.0),
        ({"sheet": 60}, 0.3, 2.0),
        ({"bubble": True}, 0.6, 2.0),
        ({"inverted": True}, 0.6, 2.0),
    ],
    ids=["plain", "level", "steep", "dim", "reflection", "bubble and corner", "inverted"],
)
def test_a_window_over_a_two_photon_stack(
    changes: dict[str, float], angle: float, distance: float
) -> None:
    sample = two_photon(0, **changes)  # type: ignore[arg-type]
    found = detect_plane(sample.image, SURFACE if "tissue" in changes else WINDOW)
    turned, away = errors(sample, found.plane)
    made = found.plane.made
    assert turned < angle
    assert abs(away) < distance
    assert made["into"] == "+z"
    assert made["looks"] == (
        "line" if "sheet" in changes else "darker" if "inverted" in changes else "brighter"
    )
    assert made["support"] > 0.6
    assert made["confidence"] > 0.5


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"y_degrees": 18, "x_degrees": -14},
        {"snr": 8, "bias": 1.0},
        {"inverted": True},
        {"glass_um": 150},
        {"order": "yxz", "reverse": True},
        {"order": "xzy"},
    ],
    ids=["plain", "steep", "noise and bias", "inverted", "gel and glass", "coronal", "sagittal"],
)
def test_a_surface_in_an_mri(changes: dict[str, float]) -> None:
    sample = mri(3, **changes)  # type: ignore[arg-type]
    found = detect_plane(sample.image, WINDOW if "glass_um" in changes else SURFACE)
    turned, away = errors(sample, found.plane)
    assert turned < 0.5
    # a fifth of a voxel
    assert abs(away) < 10
    assert found.plane.made["rms_um"] < 50


def test_below_scalp_and_skull_lies_the_brain() -> None:
    sample = mri(0, skull=True)
    turned, away = errors(sample, detect_plane(sample.image, SURFACE).plane)
    assert turned < 0.5
    assert abs(away) < 10
    turned, away = errors(sample, detect_plane(sample.image, WINDOW).plane)
    assert turned < 0.5
    assert abs(away - 600) < 10  # the skin is where the sample begins


@pytest.mark.parametrize(
    ("sample", "radius_um", "finest_um"),
    [(two_photon(1, radius_um=3000), 3000, 2), (mri(1, radius_um=7000), 7000, 10)],
    ids=["two-photon", "MRI"],
)
def test_the_plane_touches_a_curved_brain(
    sample: Sample, radius_um: float, finest_um: float
) -> None:
    found = detect_plane(sample.image, SURFACE)
    turned, away = errors(sample, found.plane)
    assert turned < 0.5
    assert abs(away) < finest_um
    assert found.plane.made["radius_of_curvature_um"] == pytest.approx(radius_um, rel=0.1)
    assert found.plane.made["rms_um"] > 2 * found.plane.made["spread_um"]
    # glass is flat: the least-squares plane lies in the middle of the curve
    flat = detect_plane(sample.image, WINDOW)
    assert flat.plane.made["radius_of_curvature_um"] is None
    assert errors(sample, flat.plane)[1] < -finest_um


def test_stated_uncertainty_is_that_of_many_samples() -> None:
    found = []
    for seed in range(5):
        sample = two_photon(100 + seed, tissue=2)
        plane = detect_plane(sample.image, SURFACE).plane
        turned, away = errors(sample, plane)
        found.append((turned, plane.made["tilt_sd_degrees"], away, plane.made["depth_sd_um"]))
    turned, tilt_sd, away, depth_sd = np.array(found).T
    # what it cannot know is the bias that vessels make below the surface
    assert 0.3 < np.sqrt(np.mean(turned**2) / np.mean(tilt_sd**2)) < 3
    assert 0.3 < np.std(away) / np.sqrt(np.mean(depth_sd**2)) < 3


def test_a_region_and_a_direction() -> None:
    sample = mri(5, radius_um=4000)
    side = sample.point_um + [0, 500, 600]
    found = detect_plane(
        sample.image,
        DetectOptions(into="+z", centre_um=tuple(side), radius_um=500),  # type: ignore[arg-type]
    )
    across = np.array([0.0, 500, 600])
    # the normal of a ball's top leans by the distance over the radius
    lean = sample.normal - (across - sample.normal * (across @ sample.normal)) / 4000
    cosine = found.plane.normal @ lean / np.linalg.norm(lean)
    assert np.rad2deg(np.arccos(cosine)) < 2
    opposite = detect_plane(sample.image, DetectOptions(into="-z"))
    assert opposite.plane.normal[0] < 0
    with pytest.raises(GeometryError, match="too few"):
        detect_plane(sample.image, DetectOptions(centre_um=(0.0, 99999.0, 0.0), radius_um=500))


def test_a_seam_between_tiles_is_no_surface() -> None:
    sample = mri(6, order="yzx")
    data = np.array(sample.image.data[0, 0])
    data[:, :, 22:] = (data[:, :, 22:] * 0.8).astype(data.dtype)  # two tiles, unlike in brightness
    found = detect_plane(spatial(data, sample.image.grid), SURFACE)
    turned, away = errors(sample, found.plane)
    assert turned < 0.5
    assert abs(away) < 10


def test_the_clearest_channel_is_taken() -> None:
    sample = two_photon(2)
    noise = np.random.default_rng(0).poisson(5, sample.image.grid.shape).astype(np.uint16)
    both = spatial(np.stack([noise, np.asarray(sample.image.data[0, 0])]), sample.image.grid)
    assert detect_plane(both).plane.made["channel"] == "C1"
    with pytest.raises(GeometryError, match="no brain surface found"):
        detect_plane(both, DetectOptions(channel="C0"))


def ball(grid: Grid) -> np.ndarray:
    away = grid.to_world(np.indices(grid.shape).reshape(3, -1).T) - grid.centre_um
    return ((away**2).sum(axis=1).reshape(grid.shape) < 90**2) * 1000.0


@pytest.mark.parametrize("what", ["noise", "texture", "ball", "constant", "empty"])
def test_where_there_is_no_plane_none_is_found(what: str) -> None:
    rng = np.random.default_rng(4)
    grid = Grid.from_spacing((60, 80, 80), (4, 6, 6))
    data = {
        "noise": lambda: rng.poisson(5, grid.shape) * 20.0 + 100,
        "texture": lambda: 5000 + 2e4 * gaussian_filter(rng.normal(size=grid.shape), 3),
        "ball": lambda: ball(grid) + rng.normal(500, 50, grid.shape),
        "constant": lambda: np.full(grid.shape, 7.0),
        "empty": lambda: np.full(grid.shape, np.nan),
    }[what]()
    with pytest.raises(GeometryError, match="no brain surface found") as refused:
        detect_plane(spatial(data, grid), SURFACE)
    assert "click three points" in str(refused.value)


def test_too_thin_an_image_is_refused() -> None:
    grid = Grid.from_spacing((3, 50, 50), (5, 5, 5))
    with pytest.raises(GeometryError, match="too few"):
        detect_plane(spatial(np.zeros(grid.shape), grid))


@pytest.mark.parametrize(
    "bad", [{"target": "skull"}, {"into": "up"}, {"radius_um": 0.0}, {"radius_um": float("nan")}]
)
def test_senseless_options_are_refused(bad: dict[str, str]) -> None:
    with pytest.raises(GeometryError):
        DetectOptions(**bad)  # type: ignore[arg-type]
