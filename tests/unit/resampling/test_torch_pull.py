"""Interpolation by torch equals the compiled loops. Run on the processor: the code is the same."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from resampling_samples import bent, bent_pairs, image_of, rotation_about, smooth_noise

from napari_bridgecorr.errors import GeometryError
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.geometry.plane import Plane
from napari_bridgecorr.resampling import PullSampler, resample
from napari_bridgecorr.transform import Affine, Chain, DisplacementField, KernelMap, Transform
from napari_bridgecorr.transform.section import SectionPlacement
from napari_bridgecorr.transform.thin_plate import ThinPlateSpline

FIXED = Grid.from_spacing((7, 12, 11), (2.6, 1.6, 1.9), (-1, 0, 1))
SHAPE = (16, 17, 18)


def kernel_map(kernel: str, dimensions: int = 3) -> KernelMap:
    fixed, moving = bent_pairs(FIXED, 1.0)
    weights = np.random.default_rng(3).normal(scale=1.5, size=fixed.shape)
    weights[:, : 3 - dimensions] = 0
    polynomial = np.column_stack([10 * np.eye(3), fixed.mean(axis=0)])
    centre = fixed.mean(axis=0)
    return KernelMap(fixed, moving, weights, polynomial, centre, 10.0, kernel, (6, 7, 8),
                     dimensions=dimensions)  # fmt: skip


def planar_spline() -> ThinPlateSpline:
    found = bent(FIXED, 1.0)
    assert isinstance(found, ThinPlateSpline)
    weights = found.weights_um * np.array([0, 0.3, 0.3])
    return ThinPlateSpline(
        found.fixed_um, found.moving_um, weights, found.polynomial_um, found.centre_um,
        found.scale_um, 0.0, 2,
    )  # fmt: skip


def transforms() -> dict[str, Transform]:
    turn, bend = rotation_about((7, 7, 7), (1, 2, 3), 25), bent(FIXED, 1.0)
    inner = Grid.from_spacing((4, 5, 5), (2.0, 2.5, 2.0), (2, 3, 4))
    field = DisplacementField.sample(bend, inner)
    tilted = Plane.from_normal((6.0, 9.0, 9.0), (1.0, 0.1, -0.2))
    return {
        "affine": turn,
        "thin plate": bend,
        "planar thin plate": Chain(planar_spline(), turn),
        "matern12": kernel_map("matern12"),
        "matern32": Chain(turn, kernel_map("matern32")),
        "planar matern52": kernel_map("matern52", 2),
        "field": field,
        "two bends and a field": Chain(turn, bend, kernel_map("matern52"), field, turn.inverse()),
        "section": SectionPlacement(Affine.identity(), tilted, 80.0),
    }


def moving_image(dtype: str):
    data = np.stack([smooth_noise(SHAPE, 0.7, seed) for seed in (0, 1)]) / 4
    if np.dtype(dtype).kind == "f":
        data[0, 3:5, 6, 7] = np.nan
    return image_of(data.astype(dtype), Grid.from_spacing(SHAPE, (1.2, 1.1, 1.0), (0.3, 0, 0)))


@pytest.fixture
def by_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="torch is not installed (napari-bridgecorr[ml])")
    monkeypatch.setenv("BRIDGECORR_TORCH", "cpu")


@pytest.mark.usefixtures("by_torch")
@pytest.mark.parametrize("which", transforms())
@pytest.mark.parametrize(("interpolation", "dtype"), [("linear", "float32"), ("nearest", "uint8")])
def test_values_are_those_of_the_compiled_loops(
    which: str, interpolation: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, transform = moving_image(dtype), transforms()[which]
    pull = PullSampler(image, transform, FIXED, interpolation)
    assert pull.device == "cpu"
    assert pull.map_error_voxels == 0
    found = pull.block(0, (0, 0, 0), FIXED.shape).values
    monkeypatch.setenv("BRIDGECORR_TORCH", "off")
    plain = PullSampler(image, transform, FIXED, interpolation, tolerance_voxels=0)
    assert plain.device == ""
    expected = plain.block(0, (0, 0, 0), FIXED.shape).values
    assert found.dtype == expected.dtype
    assert np.array_equal(np.isnan(found), np.isnan(expected))
    assert 0.1 < np.isfinite(found).mean() < 1
    spread = np.nanmax(expected) - np.nanmin(expected)
    assert np.nanmax(np.abs(found - expected)) <= 1e-6 * spread


@pytest.mark.usefixtures("by_torch")
@pytest.mark.parametrize("which", ["two bends and a field", "thin plate"])
def test_blocks_processes_and_tiles_change_no_digit(
    which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_bridgecorr.resampling import torch_pull

    image, transform = moving_image("float32"), transforms()[which]
    # more landmarks than are added at once, and more voxels than are mapped at once
    monkeypatch.setattr(torch_pull, "_LANDMARKS", 5)
    monkeypatch.setattr(torch_pull, "_TILE", 256)
    pull = PullSampler(image, transform, FIXED, "linear")
    whole = pull.block(0, (0, 0, 0), FIXED.shape).values
    travelled = pickle.loads(pickle.dumps(pull._graphics))
    assert travelled.device == "cpu"
    pull._graphics = travelled
    for start, stop in [
        ((0, 0, 0), (3, 12, 5)),
        ((3, 2, 5), (7, 9, 11)),
        ((6, 11, 10), FIXED.shape),
    ]:
        part = pull.block(0, start, stop).values
        where = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        assert np.array_equal(part, whole[(slice(None), *where)], equal_nan=True)


@pytest.mark.usefixtures("by_torch")
def test_what_it_cannot_do_is_done_as_ever() -> None:
    image = moving_image("float32")
    for transform, interpolation in [
        (bent(FIXED, 1.0).inverse(), "linear"),
        (kernel_map("gaussian"), "linear"),
        (bent(FIXED, 1.0), "cubic"),
        (bent(FIXED, 1.0), "mean"),
    ]:
        lazy = resample(image, transform, FIXED, interpolation=interpolation)
        assert "device" not in lazy.metadata
    lazy = resample(image, bent(FIXED, 1.0), FIXED, interpolation="linear")
    assert lazy.metadata["device"] == "cpu"


@pytest.mark.usefixtures("by_torch")
def test_a_device_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cuda:77", "mps", "nonsense"):
        monkeypatch.setenv("BRIDGECORR_TORCH", name)
        with pytest.raises(GeometryError, match=f"cannot work on {name} with float64") as caught:
            PullSampler(moving_image("uint8"), Affine.identity(), FIXED, "linear")
        assert "\n" not in str(caught.value)
