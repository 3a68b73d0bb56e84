"""OME-Zarr scenes: what the 0.6 specification says, and what we write, map points as they must."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from scipy.interpolate import RegularGridInterpolator
from scipy.spatial.transform import Rotation

from napari_bridgecorr.errors import ReadError
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.io.transform_files import is_transform_file, read_transform, write_transform
from napari_bridgecorr.transform import Affine, Chain, DisplacementField

AFFINE = Affine([[1.1, 0.2, 0, 3], [0, 0.9, 0.1, -5], [0.3, 0, 1.05, 40], [0, 0, 0, 1]])
POINTS = np.random.default_rng(0).uniform(-50, 400, (60, 3))


def system(name: str, axes: str = "zyx", unit: str | None = "micrometer") -> dict[str, Any]:
    listed = [{"name": a, "type": "space", **({"unit": unit} if unit else {})} for a in axes]
    return {"name": name, "axes": listed}


def scene(
    folder: Path,
    transform: dict[str, Any],
    systems: list[dict[str, Any]] | None = None,
    wrap: str = "scene",
) -> Path:
    zarr.create_group(str(folder), zarr_format=3)
    inner = {
        "coordinateSystems": systems or [system("a"), system("b")],
        "coordinateTransformations": [
            {"input": {"name": "a"}, "output": {"name": "b"}, **transform}
        ],
    }
    ome = {"version": "0.6", **({"scene": inner} if wrap == "scene" else inner)}
    zarr.open_group(str(folder), mode="r+").attrs.put({"ome": ome})
    return folder


def rotation() -> np.ndarray:
    return Rotation.from_rotvec([0.2, -0.4, 0.3]).as_matrix()


MATRIX = rotation() * [1.0, 1.2, 0.8]
STEPS: dict[str, tuple[dict[str, Any], Any]] = {
    "identity": ({"type": "identity"}, lambda p: p),
    "translation": ({"type": "translation", "translation": [1, 2, 3]}, lambda p: p + [1, 2, 3]),
    "scale": ({"type": "scale", "scale": [1, 2, 3]}, lambda p: p * [1, 2, 3]),
    "rotation": ({"type": "rotation", "rotation": rotation().tolist()}, lambda p: p @ rotation().T),
    "affine": (
        {"type": "affine", "affine": np.column_stack([MATRIX, [4, 5, 6]]).tolist()},
        lambda p: p @ MATRIX.T + [4, 5, 6],
    ),
    "mapAxis": ({"type": "mapAxis", "mapAxis": [2, 0, 1]}, lambda p: p[:, [2, 0, 1]]),
    "sequence": (
        {
            "type": "sequence",
            "transformations": [
                {"type": "translation", "translation": [1, 2, 3]},
                {"type": "scale", "scale": [2, 3, 4]},
            ],
        },
        lambda p: (p + [1, 2, 3]) * [2, 3, 4],
    ),
    "bijection": (
        {
            "type": "bijection",
            "forward": {"type": "scale", "scale": [2, 3, 4]},
            "inverse": {"type": "scale", "scale": [0.5, 1 / 3, 0.25]},
        },
        lambda p: p * [2, 3, 4],
    ),
}


@pytest.mark.parametrize("wrap", ["scene", "draft"])
@pytest.mark.parametrize("name", STEPS)
def test_matrices_are_the_specifications(tmp_path: Path, name: str, wrap: str) -> None:
    transform, expected = STEPS[name]
    path = scene(tmp_path / "s.zarr", transform, wrap=wrap)
    assert is_transform_file(path)
    read = read_transform(path)
    assert isinstance(read.transform, Affine)
    np.testing.assert_allclose(read.transform.map(POINTS), expected(POINTS), rtol=0, atol=1e-9)


def test_axes_and_units_of_either_side(tmp_path: Path) -> None:
    """x, y, z in mm to z, y, x in nm: the numbers are those of the file's own axes."""
    systems = [system("a", "xyz", "millimeter"), system("b", "zyx", "nanometer")]
    transform = {"type": "affine", "affine": np.column_stack([MATRIX, [4, 5, 6]]).tolist()}
    read = read_transform(scene(tmp_path / "s.zarr", transform, systems)).transform
    stored = POINTS[:, ::-1] / 1000
    expected = (stored @ MATRIX.T + [4, 5, 6]) / 1000
    np.testing.assert_allclose(read.map(POINTS), expected, rtol=0, atol=1e-9)


def test_a_flat_transform_keeps_z(tmp_path: Path) -> None:
    systems = [system("a", "yx"), system("b", "yx")]
    transform = {"type": "affine", "affine": [[1, 2, 3], [4, 5, 6]]}
    read = read_transform(scene(tmp_path / "s.zarr", transform, systems))
    assert read.dimensions == 2
    np.testing.assert_allclose(read.transform.map([[7, 10, 20]]), [[7, 53, 146]], atol=1e-12)


def test_a_missing_unit_is_said(tmp_path: Path) -> None:
    systems = [system("a", unit=None), system("b")]
    read = read_transform(scene(tmp_path / "s.zarr", {"type": "identity"}, systems))
    assert any("no unit: um is assumed" in w for w in read.warnings)


def stored_field(
    root: Path, path: str, values: np.ndarray, axes: list[dict[str, Any]], places: list[Any]
) -> None:
    """A bare array that describes itself, as the specification's text has it."""
    array = zarr.create_array(str(root / path), data=values, zarr_format=3)
    described = {
        "coordinateSystems": [{"name": "field", "axes": axes}],
        "coordinateTransformations": places,
    }
    array.attrs.put({"ome": described})


@pytest.mark.parametrize("kind", ["displacements", "coordinates"])
@pytest.mark.parametrize("last", [True, False])
def test_fields_are_the_specifications(tmp_path: Path, kind: str, last: bool) -> None:
    rng = np.random.default_rng(3)
    shape, step, start = (5, 6, 7), np.array([90.0, 80.0, 70.0]), np.array([-60.0, -50.0, -70.0])
    d = rng.normal(0, 10, (*shape, 3))
    nodes = np.stack(np.indices(shape), axis=-1) * step + start
    values = d if kind == "displacements" else nodes + d
    path = tmp_path / "s.zarr"
    transform = {"type": kind, "path": "fields/d", "interpolation": "linear"}
    scene(path, transform)
    vector = {"name": "d", "type": kind.rstrip("s"), "discrete": True}
    spatial = system("a")["axes"]
    order = [*spatial, vector] if last else [vector, *spatial]

    def spread(numbers: Any, other: float) -> list[float]:
        return [*numbers, other] if last else [other, *numbers]

    places = [
        {
            "type": "sequence",
            "transformations": [
                {"type": "scale", "scale": spread(step.tolist(), 1.0)},
                {"type": "translation", "translation": spread(start.tolist(), 0.0)},
            ],
        }
    ]
    stored_field(path, "fields/d", values if last else np.moveaxis(values, -1, 0), order, places)
    points = rng.uniform(0, 1, (100, 3)) * (np.array(shape) - 1) * step + start
    axes = [np.arange(n) * s + o for n, s, o in zip(shape, step, start, strict=True)]
    expected = points + RegularGridInterpolator(axes, d)(points)
    found = read_transform(path).transform
    assert isinstance(found, DisplacementField)
    np.testing.assert_allclose(found.map(points), expected, rtol=0, atol=1e-9)


def test_the_specifications_1d_example_in_three_axes(tmp_path: Path) -> None:
    """[-1, 0, 1] every 2 nm maps 1.0 to 0.5."""
    path = scene(
        tmp_path / "s.zarr",
        {"type": "displacements", "path": "d"},
        [system("a", "zyx", "nanometer"), system("b", "zyx", "nanometer")],
    )
    values = np.zeros((2, 2, 3, 3))
    values[..., 2] = [-1.0, 0.0, 1.0]
    axes = [*system("a", "zyx", "nanometer")["axes"], {"name": "d", "type": "displacement"}]
    stored_field(path, "d", values, axes, [{"type": "scale", "scale": [1, 1, 2, 1]}])
    found = read_transform(path).transform.map([[0.0, 0.0, 1e-3]])
    np.testing.assert_allclose(found, [[0.0, 0.0, 0.5e-3]], rtol=0, atol=1e-15)


def field(turned: bool = False) -> DisplacementField:
    matrix = np.diag([90.0, 80.0, 70.0, 1.0])
    if turned:
        matrix[:3, :3] = rotation() @ matrix[:3, :3]
    matrix[:3, 3] = (-60, -50, -70)
    values = np.random.default_rng(1).normal(0, 20, (3, 6, 7, 8))
    return DisplacementField(Grid((6, 7, 8), matrix), values)


@pytest.mark.parametrize("turned", [False, True])
def test_what_is_written_comes_back(tmp_path: Path, turned: bool) -> None:
    inner = field(turned)
    chain = Chain(AFFINE.inverse(), inner, AFFINE)
    path = tmp_path / "t.ome.zarr"
    write_transform(chain, path, inverse=Chain(AFFINE.inverse(), field(), AFFINE))
    index = np.random.default_rng(2).uniform(0, 1, (100, 3)) * [5, 6, 7]
    points = AFFINE.map(inner.grid.to_world(index))
    read = read_transform(path)
    np.testing.assert_allclose(read.transform.map(points), chain.map(points), rtol=0, atol=1e-6)
    document = json.loads((path / "zarr.json").read_text())["attributes"]["ome"]
    transform = document["scene"]["coordinateTransformations"][0]
    assert (document["version"], transform["type"]) == ("0.6", "bijection")
    assert (transform["input"], transform["output"]) == ({"name": "fixed"}, {"name": "moving"})
    fields = [s for s in transform["forward"]["transformations"] if s["type"] == "displacements"]
    array = zarr.open_array(str(path / fields[0]["path"] / "s0"), mode="r")
    assert array.shape == (3, 6, 7, 8)
    if not turned:
        np.testing.assert_array_equal(array[...], inner.displacement_um)


def test_an_affine_is_exact(tmp_path: Path) -> None:
    write_transform(AFFINE, tmp_path / "t.ome.zarr")
    read = read_transform(tmp_path / "t.ome.zarr").transform
    assert isinstance(read, Affine)
    np.testing.assert_array_equal(read.matrix, AFFINE.matrix)


def test_missing_pieces_are_not_taken_for_zero(tmp_path: Path) -> None:
    path = tmp_path / "t.ome.zarr"
    write_transform(field(), path)
    chunk = next(p for p in path.rglob("*") if p.is_file() and p.name == "0")
    chunk.unlink()
    with pytest.raises(ReadError, match="pieces of the field"):
        read_transform(path)


def test_an_image_is_no_transform(real_data: Path) -> None:
    for image in (real_data / "ome_zarr" / "all_0.6").glob("*/*.zarr"):
        assert not is_transform_file(image)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "outside": ({"type": "displacements", "path": "../../d"}, "leads out"),
    "gone": ({"type": "displacements", "path": "d"}, "does not describe its axes"),
    "cubic": ({"type": "displacements", "path": "d", "interpolation": "cubic"}, "not linearly"),
    "unknown": ({"type": "wave"}, "'wave' is not supported"),
    "flat": ({"type": "scale", "scale": [1, 0, 1]}, "zero along an axis"),
    "short": ({"type": "translation", "translation": [1, 2]}, "2 numbers"),
    "elsewhere": ({"type": "identity", "input": {"name": "c"}}, "'c' is not described"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, name: str) -> None:
    transform, said = BAD[name]
    path = scene(tmp_path / "s.zarr", transform)
    with pytest.raises(ReadError, match=said) as caught:
        read_transform(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
