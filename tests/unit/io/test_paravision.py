"""ParaVision folders against brukerapi, and every voxel where the scanner put it."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from brukerapi.dataset import Dataset
from paravision_files import Raw, axes, counts, slices_at, write_scan

from napari_bridgecorr.errors import ReadError
from napari_bridgecorr.geometry.anatomical import points_to_millimetres
from napari_bridgecorr.image import SpatialImage
from napari_bridgecorr.io.paravision import ParaVisionReader


def read(path: Path) -> tuple[SpatialImage, ...]:
    assert ParaVisionReader().claim(path).accepted
    return ParaVisionReader().read(path)


def reference(folder: Path) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Dataset(folder / "2dseq")


def lps_mm(image: SpatialImage, x: float, y: float, z: float) -> np.ndarray:
    return points_to_millimetres(image.grid.to_world((z, y, x)), "LPS")[0]


def multislice(folder: Path, **changed) -> Path:
    """Five oblique slices of 8 x 6, 4 repetitions of 3 echoes: echo, slice, repetition."""
    directions = axes(0.3, 0.2)
    options = {
        "frames": counts((60, 6, 8)),
        "extent": (16.0, 9.0),
        "orientation": np.repeat(directions.ravel()[None], 5, axis=0),
        "position": slices_at((-8, -4.5, 2), directions[2] * 0.7, 5),
        "groups": "(3, <FG_ECHO>, <>, 0, 0) (5, <FG_SLICE>, <>, 0, 2) (4, <FG_CYCLE>, <>, 2, 0)",
        "slope": np.linspace(0.5, 2, 60),
        "offset": np.linspace(-1, 1, 60),
        "more": {"VisuAcqScanTime": 8000},
    } | changed
    return write_scan(folder, options.pop("frames"), **options)


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32"])
def test_slices_echoes_and_repetitions(tmp_path: Path, dtype: str, big_endian: bool) -> None:
    frames = counts((60, 6, 8), dtype)
    folder = multislice(tmp_path / "1", frames=frames, big_endian=big_endian)
    (image,) = read(folder)
    data = reference(folder)
    # brukerapi: x, y, then the groups as listed
    expected = data.data.transpose(4, 2, 3, 1, 0)
    assert image.data.shape == (4, 3, 5, 6, 8)
    np.testing.assert_allclose(np.asarray(image.data), expected, rtol=1e-6)
    assert [c.name for c in image.channels] == ["echo 1", "echo 2", "echo 3"]
    assert image.time_step_s == 2.0
    assert image.source.axes == "tczyx"
    for x, y, z in [(0, 0, 0), (7, 5, 4), (2, 3, 1)]:
        there = (data.affine @ (x, y, z, 1))[:3]
        np.testing.assert_allclose(lps_mm(image, x, y, z), there, atol=1e-9)
    np.testing.assert_allclose(image.grid.voxel_size_um, (700, 1500, 2000), rtol=1e-9)
    assert image.voxel_size_known == (True, True, True)
    # NIfTI's R, A and S are our x, y and z
    r, a, s = image.grid.to_world((0, 0, 0))[0, ::-1] / 1000
    np.testing.assert_allclose((r, a, s), (8, 4.5, 2))


def test_stored_numbers_stay_whole_where_nothing_scales_them(tmp_path: Path) -> None:
    folder = multislice(tmp_path / "1", slope=(1.0,), offset=(0.0,), big_endian=True)
    (image,) = read(folder)
    assert image.dtype == np.int16
    np.testing.assert_array_equal(
        np.asarray(image.data), counts((60, 6, 8)).reshape(4, 5, 3, 6, 8).swapaxes(1, 2)
    )


@pytest.mark.parametrize("order", ["disk_normal_slice_order", "disk_reverse_slice_order"])
@pytest.mark.parametrize("n_repetitions", [1, 3])
def test_volumes(tmp_path: Path, order: str, n_repetitions: int) -> None:
    frames = counts((n_repetitions, 5, 6, 8))
    groups = f"({n_repetitions}, <FG_CYCLE>, <>, 0, 0)" if n_repetitions > 1 else ""
    folder = write_scan(
        tmp_path / "1",
        frames,
        extent=(16, 9, 10),
        orientation=axes(0.1, -0.4),
        position=np.array([[-8, -4, -5]]),
        groups=groups,
        more={"VisuCoreDiskSliceOrder": order},
    )
    (image,) = read(folder)
    data = reference(folder)
    expected = data.data.reshape(8, 6, 5, n_repetitions).transpose(3, 2, 1, 0)
    np.testing.assert_array_equal(np.asarray(image.data)[:, 0], expected)
    for x, y, z in [(0, 0, 0), (7, 5, 4)]:
        there = (data.affine @ (x, y, z, 1))[:3]
        np.testing.assert_allclose(lps_mm(image, x, y, z), there, atol=1e-9)
    np.testing.assert_allclose(image.grid.voxel_size_um, (2000, 1500, 2000))


@pytest.mark.parametrize("is_stated", [False, True])
def test_a_localiser_is_three_images(tmp_path: Path, is_stated: bool) -> None:
    """Three directions; ParaVision 5 does not say that they are packages."""
    directions = [axes(), axes()[[1, 2, 0]], axes()[[2, 0, 1]]]
    orientation = np.array([d.ravel() for d in directions for _ in range(2)])
    position = np.concatenate([slices_at((-8, -8, 1), d[2] * 0.9, 2) for d in directions])
    more = {"VisuCoreSlicePacksSlices": Raw("( 3 )\n(0, 2) (2, 2) (4, 2)")} if is_stated else {}
    folder = write_scan(
        tmp_path / "1",
        counts((6, 7, 7)),
        extent=(16, 16),
        orientation=orientation,
        position=position,
        groups="(6, <FG_SLICE>, <>, 0, 2)",
        more=more,
    )
    images = read(folder)
    data = reference(folder)
    assert len(images) == 3
    assert [image.name for image in images] == [f"T2_TurboRARE package {n}" for n in (1, 2, 3)]
    for number, image in enumerate(images):
        stored = np.asarray(image.data)[0, 0].transpose(2, 1, 0)
        np.testing.assert_array_equal(
            stored, np.squeeze(data.data)[..., 2 * number : 2 * number + 2]
        )
        affine = data.affine_of_package(number)
        np.testing.assert_allclose(lps_mm(image, 6, 5, 1), (affine @ (6, 5, 1, 1))[:3], atol=1e-9)


@pytest.mark.parametrize("value", [1, 2])
@pytest.mark.parametrize("shape", [(5, 6, 8), (5, 6, 6)])
def test_exchanged_axes(tmp_path: Path, value: int, shape: tuple[int, ...]) -> None:
    """Both values exchange the two axes of a plane; square ones stay as they are."""
    folder = multislice(
        tmp_path / "1",
        frames=counts(shape),
        groups="(5, <FG_SLICE>, <>, 0, 2)",
        slope=(1.0,),
        offset=(0.0,),
        more={"VisuCoreTransposition": [value] * 5},
    )
    (image,) = read(folder)
    stored = np.asarray(image.data)[0, 0].transpose(2, 1, 0)
    np.testing.assert_array_equal(stored, np.squeeze(reference(folder).data))
    part = np.asarray(image.data[0, 0, 1:3, 2:5, 3:6]).transpose(2, 1, 0)
    np.testing.assert_array_equal(part, stored[3:6, 2:5, 1:3])


def test_exchanged_axes_of_volumes(tmp_path: Path) -> None:
    for value in (1, 2, 3):
        folder = write_scan(
            tmp_path / str(value),
            counts((2, 5, 6, 8)),
            extent=(16, 9, 10),
            orientation=axes(),
            position=np.array([[-8, -4, -5]]),
            groups="(2, <FG_CYCLE>, <>, 0, 0)",
            more={"VisuCoreTransposition": [value, 0]},
        )
        (image,) = read(folder)
        expected = np.squeeze(reference(folder).data).transpose(3, 2, 1, 0)
        np.testing.assert_array_equal(np.asarray(image.data)[:, 0], expected)


def test_names_of_maps_and_parts_of_complex_numbers(tmp_path: Path) -> None:
    more = {
        "VisuFGElemComment": Raw("( 3, 65 )\n<T2 relaxation time> <signal intensity> <std dev>"),
        "VisuGroupDepVals": Raw("( 1 )\n(<VisuFGElemComment>, 0)"),
    }
    folder = multislice(
        tmp_path / "1",
        frames=counts((30, 6, 8)),
        groups="(5, <FG_SLICE>, <>, 0, 0) (3, <FG_ISA>, <T2>, 0, 1) (2, <FG_COMPLEX>, <>, 1, 0)",
        slope=(1.0,),
        offset=(0.0,),
        more=more,
    )
    (image,) = read(folder)
    assert [c.name for c in image.channels[:4]] == [
        "T2 relaxation time real",
        "signal intensity real",
        "std dev real",
        "T2 relaxation time imaginary",
    ]
    stored = counts((30, 6, 8)).reshape(6, 5, 6, 8)
    np.testing.assert_array_equal(np.asarray(image.data)[0], stored)


def test_one_slice_has_its_thickness(tmp_path: Path) -> None:
    folder = write_scan(
        tmp_path / "1",
        counts((1, 6, 8)),
        extent=(16, 9),
        orientation=axes(),
        position=np.array([[1, 2, 3]]),
    )
    (image,) = read(folder)
    np.testing.assert_allclose(image.grid.voxel_size_um, (500, 1500, 2000))
    assert image.source.axes == "yx"


def test_repetitions_without_groups_are_times(tmp_path: Path) -> None:
    folder = write_scan(
        tmp_path / "1",
        counts((4, 6, 8)),
        extent=(16, 9),
        orientation=axes(),
        position=np.array([[1, 2, 3]]),
    )
    assert read(folder)[0].data.shape == (4, 1, 1, 6, 8)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"VisuCoreExtent": None}, "no voxel size along y, x"),
        ({"VisuCorePosition": None}, "does not say where it lies"),
        ({"VisuCoreOrientation": [[0.0] * 9]}, "does not say where it lies"),
        ({"VisuCoreOrientation": [[1e30] * 9]}, "does not say where it lies"),
        ({"VisuCoreDataSlope": [0.0]}, "scale factors make no sense"),
        ({"VisuCoreUnits": Raw("( 2, 65 )\n<ell> <mm>")}, "unit of length (ell) is unknown"),
        (
            {"VisuCorePosition": np.array([[0, 0, z] for z in (0, 1, 2, 4, 5)], float)},
            "not evenly spaced",
        ),
        ({"VisuCorePosition": np.zeros((5, 3))}, "in one place"),
        ({}, "Quadruped, Head Prone"),
        ({"VisuSubjectType": None, "VisuSubjectPosition": "Head_Supine"}, "Head Supine"),
        ({"VisuSubjectType": None, "VisuSubjectPosition": None}, "states no subject"),
    ],
)
def test_doubts_are_told(tmp_path: Path, more: dict, said: str) -> None:
    folder = multislice(tmp_path / "1", slope=(1.0,), offset=(0.0,), more=more)
    (image,) = read(folder)
    assert any(said in warning for warning in image.warnings), image.warnings
    assert np.asarray(image.data).all()


def test_units_are_believed(tmp_path: Path) -> None:
    more = {"VisuCoreUnits": Raw("( 2, 65 )\n<cm> <mm>")}
    (image,) = read(multislice(tmp_path / "1", more=more))
    np.testing.assert_allclose(image.grid.voxel_size_um, (700, 1500, 20000))


def test_people_are_not_doubted(tmp_path: Path) -> None:
    assert read(multislice(tmp_path / "1", more={"VisuSubjectType": "Biped"}))[0].warnings == ()


def test_repeated_values_are_unpacked(tmp_path: Path) -> None:
    """ParaVision 360 shortens lists."""
    more = {
        "VisuCoreDataSlope": Raw("( 60 )\n@59*(2) 3"),
        "VisuCoreDataOffs": Raw("( 60 )\n@60*(0)"),
    }
    (image,) = read(multislice(tmp_path / "1", more=more))
    expected = counts((60, 6, 8)) * np.array([2] * 59 + [3])[:, None, None]
    stored = np.asarray(image.data).swapaxes(1, 2).reshape(60, 6, 8)
    np.testing.assert_array_equal(stored, expected)


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ({"VisuCoreFrameCount": 10**5}, "cut short"),
        ({"VisuCoreFrameCount": 10**12}, "announces"),
        ({"VisuCoreFrameCount": 0}, "announces 0 frames"),
        ({"VisuCoreSize": [10**6, 10**6]}, "cut short"),
        ({"VisuCoreSize": [10**12, 1]}, "makes no sense"),
        ({"VisuCoreSize": [-8, 6]}, "makes no sense"),
        ({"VisuCoreSize": [8.5, 6.0]}, "no whole number"),
        ({"VisuCoreSize": Raw("( 2 )\n8 x")}, "is no number"),
        ({"VisuCoreSize": None}, "0 dimensions"),
        ({"VisuCoreDimDesc": Raw("( 1 )\nspectroscopic")}, "holds spectra"),
        ({"VisuCoreWordType": "_64BIT"}, "unknown type"),
        ({"VisuCoreByteOrder": None}, "byte order"),
        ({"VisuFGOrderDesc": Raw("( 1 )\n(7, <FG_SLICE>, <>, 0, 2)")}, "are not its 60 frames"),
        ({"VisuFGOrderDesc": Raw("( 1 )\n(x, <FG_SLICE>, <>, 0, 2)")}, "cannot be read"),
        ({"VisuFGOrderDesc": Raw("( 1 )\n(60)")}, "cannot be read"),
        ({"VisuCoreDataSlope": Raw("( 2 )\n1 2")}, "2 values for 60 frames"),
        ({"VisuCoreDataSlope": Raw("( 60 )\n@999999999*(1)")}, "too many values"),
    ],
)
def test_damage_is_one_line(tmp_path: Path, more: dict, fault: str) -> None:
    folder = multislice(tmp_path / "1", more=more)
    with pytest.raises(ReadError, match=fault):
        read(folder)


def test_missing_and_cut_files(tmp_path: Path) -> None:
    folder = multislice(tmp_path / "1")
    whole = (folder / "2dseq").read_bytes()
    (folder / "2dseq").write_bytes(whole[:-1])
    with pytest.raises(ReadError, match="cut short"):
        read(folder)
    (folder / "2dseq").write_bytes(whole + b"1234")
    assert any("4 bytes more" in warning for warning in read(folder)[0].warnings)
    text = (folder / "visu_pars").read_text()
    (folder / "visu_pars").write_text(text[:-10])
    with pytest.raises(ReadError, match="no ##END"):
        read(folder)
    (folder / "visu_pars").write_text("hello")
    with pytest.raises(ReadError, match="no parameter file"):
        read(folder)
    (folder / "visu_pars").unlink()
    with pytest.raises(ReadError, match="no visu_pars beside it"):
        read(folder)


def test_a_file_that_shrinks_is_an_error(tmp_path: Path) -> None:
    folder = multislice(tmp_path / "1")
    (image,) = read(folder)
    (folder / "2dseq").write_bytes(b"12")
    with pytest.raises(ReadError, match="the file ends before them"):
        image.data.compute()


def test_a_study_an_experiment_and_a_file(tmp_path: Path) -> None:
    study = tmp_path / "20210305_mouse"
    for number in (10, 2):
        frames = counts((5, 6, 8), seed=number)
        multislice(
            study / str(number) / "pdata" / "1",
            frames=frames,
            groups="(5, <FG_SLICE>, <>, 0, 2)",
            slope=(1.0,),
            offset=(0.0,),
        )
    bad = multislice(study / "3" / "pdata" / "1")
    (bad / "2dseq").write_bytes(b"1")
    (study / "AdjStatePerStudy").write_text("##END=")
    images = read(study)
    assert [image.name for image in images] == ["T2_TurboRARE (2/1)", "T2_TurboRARE (10/1)"]
    assert [image.source.image_index for image in images] == [0, 1]
    assert all("3/1 is left out: is cut short" in i.warnings[-1] for i in images)
    for path in (
        study / "2",
        study / "2" / "pdata",
        study / "2" / "pdata" / "1",
        study / "2" / "pdata" / "1" / "2dseq",
    ):
        (image,) = read(path)
        np.testing.assert_array_equal(np.asarray(image.data)[0, 0], counts((5, 6, 8), seed=2))


def test_other_folders_are_not_claimed(tmp_path: Path) -> None:
    (tmp_path / "pdata").mkdir()
    (tmp_path / "a.tif").write_bytes(b"II*\0")
    assert not ParaVisionReader().claim(tmp_path).accepted
    assert not ParaVisionReader().claim(tmp_path / "a.tif").accepted
    assert not ParaVisionReader().claim(tmp_path / "nothing").accepted
