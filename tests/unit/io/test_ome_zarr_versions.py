"""Coordinate systems and transformations of 0.6, and what older versions leave out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_bridgecorr.errors import ReadError
from napari_bridgecorr.io.ome_zarr import OmeZarrReader
from napari_bridgecorr.io.ome_zarr.transforms import Misdescribed, chained

SPACE = [{"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"]


def no_arrays(path: str) -> Any:
    raise AssertionError(path)


def make(folder: Path, multiscale: dict[str, Any], shape=(4, 5, 6), version: str = "0.6") -> Path:
    """A group of one array and one multiscale."""
    group = zarr.create_group(str(folder), zarr_format=3)
    data = np.arange(1, np.prod(shape) + 1, dtype=np.uint16).reshape(shape)
    array = zarr.create_array(
        str(folder / "0"), shape=shape, dtype=data.dtype, chunks=shape, fill_value=0
    )
    array[...] = data
    group.attrs.put({"ome": {"version": version, "multiscales": [multiscale]}})
    return folder


def systems(*named: tuple[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [{"name": name, "axes": axes} for name, axes in named]


def dataset(*transforms: dict[str, Any], output: Any = "physical") -> list[dict[str, Any]]:
    step = {"type": "sequence", "transformations": list(transforms)}
    return [
        {"path": "0", "coordinateTransformations": [{**step, "input": "0", "output": output}]}
    ]  # fmt: skip


def read(folder: Path):
    return OmeZarrReader().read(folder)


def refusal(folder: Path) -> str:
    with pytest.raises(ReadError) as caught:
        read(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("as_objects", [True, False], ids=["0.6", "draft"])
def test_map_axis_swaps_the_axes_of_the_world(tmp_path: Path, as_objects: bool) -> None:
    name = (lambda n: {"name": n}) if as_objects else (lambda n: n)
    multiscale = {
        "coordinateSystems": systems(("physical", SPACE), ("world", SPACE)),
        "datasets": dataset({"type": "scale", "scale": [3, 2, 1]}, output=name("physical")),
        "coordinateTransformations": [
            {
                "type": "mapAxis",
                "mapAxis": [2, 0, 1],
                "input": name("physical"),
                "output": name("world"),
            }
        ],
    }
    (image,) = read(make(tmp_path / "a.zarr", multiscale))
    # world z is what was x: output i is input mapAxis[i]
    assert image.grid.to_world([[1, 0, 0], [0, 1, 0], [0, 0, 1]]).tolist() == [
        [0, 3, 0],
        [0, 0, 2],
        [1, 0, 0],
    ]
    assert image.data[0, 0, 1, 2, 3].compute() == 1 * 30 + 2 * 6 + 3 + 1
    assert "places are in 'world', not in 'physical'" in image.warnings[0]


def test_by_dimension_and_a_way_backwards(tmp_path: Path) -> None:
    parts = [
        {
            "inputAxes": [2, 0],
            "outputAxes": [0, 2],
            "transformation": {"type": "affine", "affine": [[2, 0, 5], [0, 4, 6]]},
        },
        {
            "input_axes": [1],
            "output_axes": [1],
            "transformation": {"type": "translation", "translation": [7]},
        },
    ]
    multiscale = {
        "coordinateSystems": systems(("world", SPACE), ("physical", SPACE)),
        "datasets": dataset({"type": "identity"}, output={"name": "physical"}),
        # stated from the world to the image: it is taken backwards
        "coordinateTransformations": [
            {
                "type": "byDimension",
                "transformations": parts,
                "input": {"name": "world"},
                "output": {"name": "physical"},
            }
        ],
    }
    (image,) = read(make(tmp_path / "a.zarr", multiscale))
    z, y, x = image.grid.to_world([[1.0, 2.0, 3.0]])[0]
    # forwards: z' = 2 x + 5, y' = y + 7, x' = 4 z + 6
    assert np.allclose([2 * x + 5, y + 7, 4 * z + 6], [1, 2, 3], atol=1e-12)


def test_a_field_on_the_way_is_told_and_left(tmp_path: Path) -> None:
    multiscale = {
        "coordinateSystems": systems(("world", SPACE), ("physical", SPACE)),
        "datasets": dataset({"type": "scale", "scale": [3, 2, 1]}),
        "coordinateTransformations": [
            {"type": "displacements", "path": "field", "input": "physical", "output": "world"}
        ],
    }
    (image,) = read(make(tmp_path / "a.zarr", multiscale))
    assert image.grid.voxel_size_um == (3, 2, 1)
    assert any("'world' are not used: a displacement field" in w for w in image.warnings)
    assert any("open the field as a transform" in w for w in image.warnings)
    multiscale["datasets"] = dataset({"type": "displacements", "path": "field"})
    assert "a displacement field places it" in refusal(make(tmp_path / "b.zarr", multiscale))


def test_an_array_system_leads_on(tmp_path: Path) -> None:
    """The specification's example: pixels first, then one scale to the physical system."""
    counted = [{"name": f"dim_{i}", "type": "array"} for i in range(3)]
    multiscale = {
        "coordinateSystems": systems(("physical", SPACE), ("pixels", counted)),
        "datasets": dataset({"type": "identity"}, output="pixels"),
        "coordinateTransformations": [
            {"type": "scale", "scale": [0.5, 0.25, 0.2], "input": "pixels", "output": "physical"}
        ],
    }
    (image,) = read(make(tmp_path / "a.zarr", multiscale))
    assert image.grid.voxel_size_um == (0.5, 0.25, 0.2)
    assert image.warnings == ()


def test_matrices_in_arrays_and_planes_in_space(tmp_path: Path) -> None:
    plane = [{"name": a, "type": "space", "unit": "micrometer"} for a in "yx"]
    multiscale = {
        "coordinateSystems": systems(("physical", plane), ("world", SPACE)),
        "datasets": dataset({"type": "scale", "scale": [2, 2]}),
        "coordinateTransformations": [
            {"type": "affine", "path": "matrix", "input": "physical", "output": "world"}
        ],
    }
    path = make(tmp_path / "a.zarr", multiscale, (5, 6))
    # a plane that stands upright: its rows run along z
    rows = np.array([[1, 0, 10], [0, 0, 20], [0, 1, 30]], dtype=np.float64)
    array = zarr.create_array(
        str(path / "matrix"), shape=rows.shape, dtype=rows.dtype, chunks=rows.shape
    )
    array[...] = rows
    (image,) = read(path)
    assert image.grid.to_world([[0, 1, 0], [0, 0, 1]]).tolist() == [[12, 20, 30], [10, 20, 32]]
    assert np.allclose(np.abs(image.grid.to_world([[1, 0, 0]])), [[10, 21, 30]]) or np.allclose(
        image.grid.to_world([[1, 0, 0]]), [[10, 19, 30]]
    )
    multiscale["coordinateTransformations"][0]["path"] = "../../matrix"
    (image,) = read(make(tmp_path / "b.zarr", multiscale, (5, 6)))
    assert image.grid.voxel_size_um == (1, 2, 2)
    assert "leads out of the image" in image.warnings[0]


def test_pixels_are_no_length(tmp_path: Path) -> None:
    axes = [{"name": a, "type": "space", "unit": "pixel"} for a in "yx"]
    scale = [{"type": "scale", "scale": [1, 1]}]
    multiscale = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}
    (image,) = read(make(tmp_path / "a.zarr", multiscale, (5, 6), "0.5"))
    assert image.voxel_size_known == (False, False, False)
    assert "no voxel size along y, x" in image.warnings[0]


def test_an_axis_of_another_kind_is_channels(tmp_path: Path) -> None:
    axes = [{"name": "angle", "type": "angle"}, *SPACE]
    scale = [{"type": "scale", "scale": [1, 3, 2, 1]}]
    multiscale = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}
    (image,) = read(make(tmp_path / "a.zarr", multiscale, (2, 3, 4, 5), "0.5"))
    assert image.data.shape == (1, 2, 3, 4, 5)
    assert "its axis 'angle' is shown as channels" in image.warnings[0]


@pytest.mark.parametrize(
    ("version", "axes", "shape", "letters"),
    [
        ("0.1", None, (1, 2, 3, 4, 5), "tczyx"),
        ("0.2", None, (2, 1, 1, 4, 5), "tczyx"),
        ("0.3", ["c", "y", "x"], (2, 4, 5), "cyx"),
        ("0.3", ["z", "y", "x"], (2, 4, 5), "zyx"),
        ("0.1", None, (4, 5), "yx"),
    ],
)
@pytest.mark.parametrize("separator", [".", "/"])
def test_old_versions(tmp_path: Path, version, axes, shape, letters, separator) -> None:
    folder = tmp_path / "old.zarr"
    zarr.create_group(str(folder), zarr_format=2)
    data = np.random.default_rng(0).integers(1, 99, shape).astype(">u2")
    array = zarr.create_array(
        str(folder / "s0"), shape=shape, dtype=data.dtype, chunks=[min(2, n) for n in shape],
        zarr_format=2, fill_value=0, chunk_key_encoding={"name": "v2", "separator": separator},
    )  # fmt: skip
    array[...] = data
    entry = {"version": version, "datasets": [{"path": "s0"}]} | ({"axes": axes} if axes else {})
    (folder / ".zattrs").write_text(json.dumps({"multiscales": [entry]}))
    (image,) = read(folder)
    assert image.source.axes == letters
    assert image.source.format == f"OME-Zarr {version}"
    assert np.array_equal(image.data.compute(scheduler="sync").squeeze(), data.squeeze())
    assert image.voxel_size_known == (False, False, False)


matrices = arrays(np.float64, (3, 4), elements=st.floats(-9, 9, allow_nan=False))


@given(
    first=matrices,
    second=matrices,
    order=st.permutations(range(3)),
    point=arrays(np.float64, 3, elements=st.floats(-9, 9)),
)
def test_a_chain_is_its_steps_one_after_the_other(first, second, order, point) -> None:
    steps = [
        {"type": "affine", "affine": first.tolist()},
        {"type": "mapAxis", "mapAxis": list(order)},
        {
            "type": "sequence",
            "transformations": [
                {"type": "affine", "affine": second.tolist()},
                {"type": "translation", "translation": [1, 2, 3]},
            ],
        },
    ]
    wanted = first[:, :3] @ point + first[:, 3]
    wanted = wanted[list(order)]
    wanted = second[:, :3] @ wanted + second[:, 3] + [1, 2, 3]
    found = chained(steps, 3, no_arrays) @ [*point, 1]
    assert np.allclose(found[:3], wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("transform", "reason"),
    [
        ({"type": "mapAxis", "mapAxis": [0, 1, 3]}, "axis 3 of 3"),
        ({"type": "mapAxis", "mapAxis": [0, 1, 1.5]}, "axis 1.5"),
        ({"type": "mapAxis", "mapAxis": "zyx"}, "no list"),
        ({"type": "rotation", "rotation": [[2, 0, 0], [0, 1, 0], [0, 0, 1]]}, "no rotation"),
        ({"type": "byDimension", "transformations": []}, "no parts"),
        (
            {"type": "byDimension", "transformations": [{"input": [7], "output": [{}]}]},
            "names the axis",
        ),
        ({"type": "coordinates", "path": "a"}, "coordinate field"),
        ({"type": "scale", "scale": [1, 1, 1, 1]}, "4 numbers, 3 are needed"),
        ({"type": "translation", "translation": [1e308, float("inf"), 0]}, "not finite"),
    ],
)
def test_what_is_no_transformation(transform, reason) -> None:
    with pytest.raises(Misdescribed, match=reason):
        chained([transform], 3, no_arrays)


def test_overflow_is_refused() -> None:
    step = {"type": "scale", "scale": [1e200, 1, 1]}
    with pytest.raises(Misdescribed, match="finite"):
        chained([step, step], 3, no_arrays)
