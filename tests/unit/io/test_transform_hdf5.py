"""HDF5 transforms that other programs write, and those that would lead out of the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import SimpleITK as sitk

from napari_bridgecorr.errors import ReadError
from napari_bridgecorr.geometry.anatomical import points_from_millimetres
from napari_bridgecorr.io.transform_files import read_transform
from napari_bridgecorr.transform import Affine, Chain, DisplacementField

NUMBERS = [1.1, 0.2, 0, 0, 0.9, 0.1, 0.3, 0, 1.05, 3, 4, 5]
CENTRE = [1.0, -2.0, 3.0]
GRID = [16.0, 16, 16, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0, 1]
POINTS_MM = np.random.default_rng(0).uniform(1, 14, (50, 3))


def assert_mapped_as_by_simpleitk(path: Path) -> None:
    other = sitk.ReadTransform(str(path))
    moved = [other.TransformPoint(p) for p in POINTS_MM.tolist()]
    found = read_transform(path).transform.map(points_from_millimetres(POINTS_MM, "LPS"))
    np.testing.assert_allclose(found, points_from_millimetres(moved, "LPS"), rtol=0, atol=1e-6)


def add(file: Any, number: int, kind: str, parameters: Any = None, fixed: Any = (), **how: Any):
    group = file.create_group(f"TransformGroup/{number}")
    group.create_dataset("TransformType", data=[kind], dtype=h5py.string_dtype("ascii"))
    if parameters is not None:
        group.create_dataset("TransformFixedParameters", data=np.array(fixed, float))
        group.create_dataset("TransformParameters", data=parameters, **how)
    return group


def make(path: Path, libver: str, field_type: str = "f8", **how: Any) -> np.ndarray:
    values = np.random.default_rng(1).uniform(0.1, 0.4, 3 * 16**3).astype(field_type)
    with h5py.File(path, "w", libver=(libver, "latest" if libver == "latest" else "v108")) as file:
        add(file, 0, "CompositeTransform_double_3_3")
        add(file, 1, "MatrixOffsetTransformBase_double_3_3", np.array(NUMBERS), CENTRE)
        word = "float" if field_type == "f4" else "double"
        add(file, 2, f"DisplacementFieldTransform_{word}_3_3", values, GRID, **how)
        for number in range(3, 14):
            add(file, number, "TranslationTransform_float_3_3", np.float32([0.1, 0.01, number]))
    return values


@pytest.mark.parametrize("libver", ["earliest", "v108", "latest"])
@pytest.mark.parametrize(
    "how",
    [{}, {"chunks": (1000,), "compression": 5}, {"chunks": (1000,), "shuffle": True}],
    ids=["contiguous", "deflated", "shuffled"],
)
@pytest.mark.parametrize("field_type", ["f4", "f8", ">f8"])
def test_every_layout_is_read(
    tmp_path: Path, libver: str, how: dict[str, Any], field_type: str
) -> None:
    """A composite of 13: as many no longer stand in a group's own header."""
    values = make(tmp_path / "t.h5", libver, field_type, **how)
    read = read_transform(tmp_path / "t.h5").transform
    assert isinstance(read, Chain)
    assert [type(part) for part in read.transforms] == [Affine, DisplacementField, Affine]
    field = read.transforms[1].displacement_um
    assert field.dtype == np.dtype(field_type).newbyteorder("=")
    in_um = values.reshape(16, 16, 16, 3)[..., 2] * 1000
    np.testing.assert_allclose(np.abs(field[0]), in_um, rtol=1e-6)


@pytest.mark.parametrize("n", [1, 9, 30])
def test_composites_of_any_length_map_as_simpleitk_maps(tmp_path: Path, n: int) -> None:
    rng = np.random.default_rng(n)
    parts = []
    for _ in range(n):
        parts.append(sitk.AffineTransform(3))
        matrix = np.eye(3) + rng.normal(0, 0.05, (3, 3))
        parts[-1].SetParameters([*matrix.ravel().tolist(), *rng.normal(0, 1, 3).tolist()])
    sitk.WriteTransform(sitk.CompositeTransform(parts), str(tmp_path / "t.h5"))
    assert_mapped_as_by_simpleitk(tmp_path / "t.h5")


def lone(file: Any) -> Any:
    return add(file, 0, "AffineTransform_double_3_3", np.array(NUMBERS), CENTRE)


def external_link(file: Any) -> None:
    file["TransformGroup"] = h5py.ExternalLink("../secret.h5", "/TransformGroup")


def soft_link(file: Any) -> None:
    file["elsewhere"] = h5py.ExternalLink("../secret.h5", "/")
    file["TransformGroup"] = h5py.SoftLink("/elsewhere/TransformGroup")


def external_numbers(file: Any) -> None:
    group = lone(file)
    del group["TransformParameters"]
    group.create_dataset("TransformParameters", (12,), "f8", external="../secret.raw")


def virtual_numbers(file: Any) -> None:
    group = lone(file)
    del group["TransformParameters"]
    layout = h5py.VirtualLayout((12,), "f8")
    inner = "TransformGroup/0/TransformParameters"
    layout[:] = h5py.VirtualSource("../secret.h5", inner, (12,))
    group.create_virtual_dataset("TransformParameters", layout)


def never_written(file: Any) -> None:
    group = lone(file)
    del group["TransformParameters"]
    group.create_dataset("TransformParameters", (12,), "f8")


def chunks_missing(file: Any) -> None:
    group = add(file, 0, "DisplacementFieldTransform_double_3_3")
    group.create_dataset("TransformFixedParameters", data=GRID)
    numbers = group.create_dataset("TransformParameters", (3 * 16**3,), "f8", chunks=(1024,))
    numbers[:9000] = 0.5


def far_too_many(file: Any) -> None:
    group = add(file, 0, "DisplacementFieldTransform_double_3_3")
    group.create_dataset("TransformFixedParameters", data=[300.0] * 3 + GRID[3:])
    group.create_dataset("TransformParameters", (3 * 300**3,), "f8", chunks=(1000,))


def several(file: Any) -> None:
    """SimpleITK reads the first and says so on the console."""
    lone(file)
    add(file, 1, "TranslationTransform_double_3_3", np.array(CENTRE))


def whole_numbers(file: Any) -> None:
    add(file, 0, "TranslationTransform_double_3_3", np.array([1, 2, 3]))


def numbered_from_one(file: Any) -> None:
    add(file, 1, "TranslationTransform_double_3_3", np.array(CENTRE))


def group_for_numbers(file: Any) -> None:
    group = lone(file)
    del group["TransformParameters"]
    group.create_group("TransformParameters")


def kernel(file: Any) -> None:
    add(file, 0, "ThinPlateSplineKernelTransform_double_3_3", np.ones(30), np.ones(30))


BAD: dict[Callable[[Any], Any], str] = {
    external_link: "a link to elsewhere",
    soft_link: "a link to elsewhere",
    external_numbers: "a link to elsewhere",
    virtual_numbers: "a link to elsewhere",
    never_written: "never written",
    chunks_missing: "pieces of a dataset in it are missing",
    far_too_many: "more than it can hold",
    several: "without saying how they follow each other",
    whole_numbers: "not floating-point numbers",
    numbered_from_one: "not numbered",
    group_for_numbers: "no dataset",
    kernel: "sample it to a displacement field",
}


@pytest.mark.parametrize("write", BAD, ids=lambda write: write.__name__)
def test_what_others_would_make_up_or_fetch_is_refused(
    tmp_path: Path, write: Callable[[Any], Any]
) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        lone(file)
    np.array(NUMBERS).tofile(tmp_path / "secret.raw")
    path = tmp_path / "folder" / "t.h5"
    path.parent.mkdir()
    with h5py.File(path, "w", libver="latest") as file:
        write(file)
    with pytest.raises(ReadError, match=BAD[write]) as caught:
        read_transform(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("keep", [100, 4000, -1])
def test_a_truncated_file_is_refused(tmp_path: Path, keep: int) -> None:
    make(tmp_path / "t.h5", "v108")
    content = (tmp_path / "t.h5").read_bytes()
    (tmp_path / "t.h5").write_bytes(content[:keep])
    with pytest.raises(ReadError, match="damaged"):
        read_transform(tmp_path / "t.h5")
