"""DICOM against SimpleITK and pydicom."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_samples import AXIAL, COLUMN, NORMAL, ROW, dataset, multi_frame, save, save_series
from numpy.testing import assert_allclose, assert_array_equal
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from napari_bridgecorr.errors import ReadError
from napari_bridgecorr.image import MISSING_SCALE, SpatialImage
from napari_bridgecorr.io.registry import open_images


def read(path: Path) -> SpatialImage:
    (image,) = open_images(path)
    return image


def volume(dtype: object = np.int16, n: int = 6) -> np.ndarray:
    return np.random.default_rng(4).integers(1, 99, (n, 8, 10)).astype(dtype)


def by_itk(folder: Path) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def place_of(image: sitk.Image) -> np.ndarray:
    """ITK's own answer for the voxels' places: LPS mm to (S, A, R) um."""
    flip = 1000 * np.array([-1, -1, 1])
    origin = np.array(image.TransformContinuousIndexToPhysicalPoint((0.0, 0.0, 0.0)))
    matrix = np.eye(4)
    for axis in range(3):
        step = np.eye(3)[axis].tolist()
        moved = np.array(image.TransformContinuousIndexToPhysicalPoint(step)) - origin
        matrix[:3, 2 - axis] = (flip * moved)[::-1]
    matrix[:3, 3] = (flip * origin)[::-1]
    return matrix


@pytest.mark.parametrize("axes", [(ROW, COLUMN), AXIAL, (AXIAL[1], AXIAL[0])])
@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
)
def test_a_series_as_itk_reads_it(tmp_path: Path, syntax: pydicom.uid.UID, axes: object) -> None:
    save_series(tmp_path / "s", volume(), syntax=syntax, axes=axes, SeriesDescription="T2 RARE")
    image, reference = read(tmp_path / "s"), by_itk(tmp_path / "s")
    assert image.name == "T2 RARE"
    assert image.source.axes == "zyx"
    assert image.warnings == ()
    assert image.dtype == np.int16
    assert_array_equal(image.data[0, 0].compute(), sitk.GetArrayFromImage(reference))
    assert_allclose(image.grid.index_to_world, place_of(reference), rtol=1e-6, atol=1e-5)
    assert_array_equal(
        image.read(0, (0, 0, 2, 3, 4), (1, 1, 5, 7, 9))[0, 0], volume()[2:5, 3:7, 4:9]
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32])
@pytest.mark.parametrize(
    ("slope", "intercept"),
    [(1, 0), (1, -1024), (2, 0), (3, 7), (-1, 0), (2.5, -3), (0.1, 0), (1, 70000), (1000, 0)],
)
def test_values_and_their_type_are_those_of_itk(
    tmp_path: Path, dtype: type, slope: float, intercept: float
) -> None:
    plane = volume(dtype)[0]
    values = {"RescaleSlope": str(slope), "RescaleIntercept": str(intercept)}
    path = save(dataset(plane, **values), tmp_path / "a.dcm")
    reference = sitk.GetArrayFromImage(sitk.ReadImage(path))[0]
    image = read(path)
    assert_array_equal(image.data[0, 0, 0].compute(), reference)
    assert_array_equal(image.data[0, 0, 0].compute(), plane * float(slope) + intercept)
    assert image.dtype == reference.dtype


@pytest.mark.parametrize(("stored", "high"), [(12, 11), (12, 15), (10, 12), (16, 15)])
@pytest.mark.parametrize("is_signed", [False, True])
def test_only_the_bits_that_count(tmp_path: Path, stored: int, high: int, is_signed: bool) -> None:
    low, top = (-(2 ** (stored - 1)), 2 ** (stored - 1)) if is_signed else (0, 2**stored)
    values = np.random.default_rng(1).integers(low, top, (8, 10))
    mask = 2**stored - 1
    shifted = ((values & mask) << (high + 1 - stored)).astype(np.uint16)
    # overlays of old files sit in the unused bits
    noise = np.random.default_rng(2).integers(0, 2**16, (8, 10)) & ~(mask << (high + 1 - stored))
    found = dataset(shifted | noise.astype(np.uint16))
    found.BitsStored, found.HighBit, found.PixelRepresentation = stored, high, int(is_signed)
    image = read(save(found, tmp_path / "a.dcm"))
    assert_array_equal(image.data[0, 0, 0].compute(), values)


def test_frames_of_one_file_are_sorted(tmp_path: Path) -> None:
    path = save(multi_frame(volume(np.uint16)), tmp_path / "a.dcm")
    image = read(path)
    assert_array_equal(image.data[0, 0].compute(), volume(np.uint16))
    assert_array_equal(image.data[0, 0, 1:4, 2].compute(), volume(np.uint16)[1:4, 2])
    assert_allclose(image.grid.voxel_size_um, (500, 200, 100), rtol=1e-6)
    reference = sitk.ReadImage(path)
    corners = [[0, 0, 0], [5, 7, 9]]
    seen = 1000 * np.array(
        [reference.TransformIndexToPhysicalPoint([x, y, z]) for z, y, x in corners]
    )
    # ITK keeps the file's order: its first slice is our last
    ours = image.grid.to_world([[5, 0, 0], [0, 7, 9]])
    assert_allclose(seen[0] * (-1, -1, 1), ours[0][::-1], atol=1e-3)
    assert_array_equal(sitk.GetArrayFromImage(reference)[::-1], volume(np.uint16))


def test_colours(tmp_path: Path) -> None:
    rgb = np.random.default_rng(3).integers(0, 255, (8, 10, 3)).astype(np.uint8)
    image = read(save(dataset(rgb), tmp_path / "a.dcm"))
    assert [channel.name for channel in image.channels] == ["R", "G", "B"]
    assert_array_equal(image.data[0, :, 0].compute(), rgb.transpose(2, 0, 1))
    planar = dataset(rgb)
    planar.PlanarConfiguration = 1
    planar.PixelData = rgb.transpose(2, 0, 1).tobytes()
    image = read(save(planar, tmp_path / "b.dcm"))
    assert_array_equal(image.data[0, :, 0].compute(), rgb.transpose(2, 0, 1))
    assert_array_equal(image.data[0, 1:, 0, 3:6, 2:].compute(), rgb[3:6, 2:, 1:].transpose(2, 0, 1))


@pytest.mark.parametrize("compressor", ["JPEG", "JPEG2000"])
def test_compressed_files_are_read_through_itk(tmp_path: Path, compressor: str) -> None:
    stored = sitk.GetImageFromArray(volume(np.uint16))
    stored.SetSpacing((0.1, 0.2, 0.3))
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetUseCompression(True)
    writer.SetCompressor(compressor)
    writer.SetFileName(str(tmp_path / "a.dcm"))
    writer.Execute(stored)
    image = read(tmp_path / "a.dcm")
    assert_array_equal(image.data[0, 0].compute(), volume(np.uint16))
    assert_array_equal(image.data[0, 0, 2:4, 1:5].compute(), volume(np.uint16)[2:4, 1:5])


def test_series_and_orientations_are_images_of_their_own(tmp_path: Path) -> None:
    save_series(tmp_path / "x" / "a", volume(), series="1.1", SeriesDescription="T1")
    save_series(tmp_path / "x" / "b", volume(n=3), series="1.2", SeriesDescription="T2")
    save_series(tmp_path / "x" / "c", volume(n=2), series="1.3", axes=AXIAL)
    save_series(tmp_path / "x" / "d", volume(n=4), series="1.3", SeriesDescription="")
    images = open_images(tmp_path / "x")
    assert [image.data.shape[2] for image in images] == [6, 3, 2, 4]
    assert [image.name for image in images] == ["T1", "T2", "series 7 (1)", "series 7 (2)"]
    assert [image.source.image_index for image in images] == [0, 1, 2, 3]


def test_repeated_places_are_times(tmp_path: Path) -> None:
    for time in range(3):
        folder = tmp_path / "s" / str(time)
        save_series(folder, volume() + time, AcquisitionNumber=time + 1)
    image = read(tmp_path / "s")
    assert image.data.shape == (3, 1, 6, 8, 10)
    assert_array_equal(image.data[:, 0].compute(), [volume() + time for time in range(3)])
    assert "stored 3 times" in image.warnings[0]
    shutil.rmtree(tmp_path / "s" / "1")
    (tmp_path / "s" / "2" / "IM000_0").unlink()
    image = read(tmp_path / "s")
    assert image.n_times == 1
    assert "between 1 and 2 times" in image.warnings[0]


def test_echoes_are_images_of_their_own(tmp_path: Path) -> None:
    for echo in (1, 2):
        save_series(tmp_path / "s" / str(echo), volume() * echo, EchoNumbers=echo)
    images = open_images(tmp_path / "s")
    assert len(images) == 2
    assert_array_equal(images[1].data[0, 0].compute(), volume() * 2)


def test_gaps_and_uneven_steps_are_told(tmp_path: Path) -> None:
    save_series(tmp_path / "s", volume(n=9))
    # slices 4 and 5 of 9
    for name in ("IM001_4", "IM008_5"):
        (tmp_path / "s" / name).unlink()
    (warning,) = read(tmp_path / "s").warnings
    assert "2 slices are missing (first after slice 4 of 7)" in warning
    for number, height in enumerate((0, 0.5, 1.2, 1.5)):
        save(
            dataset(volume()[0], height * NORMAL, instance=number + 1),
            tmp_path / "u" / f"{number}.dcm",
        )
    (warning,) = read(tmp_path / "u").warnings
    assert "unevenly spaced (0.3 to 0.7 mm)" in warning
    assert "mean step of 0.5 mm" in warning


def test_what_is_not_said_is_asked_for(tmp_path: Path) -> None:
    found = dataset(volume()[0], None, axes=None)
    del found.PixelSpacing, found.SliceThickness
    image = read(save(found, tmp_path / "a.dcm"))
    assert image.voxel_size_known == (False, False, False)
    assert any(w.startswith(MISSING_SCALE) for w in image.warnings)
    assert any("how its planes lie" in w for w in image.warnings)
    assert any("where its planes lie" in w for w in image.warnings)


def test_one_file_of_a_series_says_so(tmp_path: Path) -> None:
    image = read(save(dataset(volume()[0], instance=5), tmp_path / "a.dcm"))
    assert "number 5" in image.warnings[0]
    assert_allclose(image.grid.voxel_size_um, (300, 200, 100), rtol=1e-6)
    (tmp_path / "IM5").write_bytes((tmp_path / "a.dcm").read_bytes())
    assert read(tmp_path / "IM5").source.format == "DICOM"


def test_damaged_files_of_a_folder_are_named(tmp_path: Path) -> None:
    save_series(tmp_path / "s", volume())
    (tmp_path / "s" / "notes.txt").write_text("mouse 7")
    broken = tmp_path / "s" / "IM000_0"
    broken.write_bytes(broken.read_bytes()[:-20])
    image = read(tmp_path / "s")
    assert image.data.shape[2] == 5
    assert image.warnings[0].startswith("IM000_0 left out: it is cut short")
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "a.txt").write_text("nothing")
    with pytest.raises(ReadError):
        open_images(tmp_path / "e")


def test_mosaics_and_ten_times_too_large_rodents_are_told(tmp_path: Path) -> None:
    found = dataset(np.ones((64, 64), np.int16), ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"])
    assert any("mosaic" in w for w in read(save(found, tmp_path / "a.dcm")).warnings)


def assert_refused(path: Path, words: str) -> None:
    with pytest.raises(ReadError) as caught:
        read(path).data.compute(scheduler="synchronous")
    message = str(caught.value)
    assert words in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"Rows": 0}, "sizes"),
        ({"Rows": 60000, "Columns": 60000}, "cut short"),
        ({"NumberOfFrames": 90000}, "cut short"),
        ({"NumberOfFrames": "99999999"}, "planes"),
        ({"BitsAllocated": 12}, "bits"),
        ({"BitsStored": 0}, "bits"),
        ({"HighBit": 3}, "bit"),
        ({"SamplesPerPixel": 7}, "samples"),
        ({"PixelSpacing": ["nan", "1"]}, "(0028,0030)"),
        ({"RescaleSlope": "inf"}, "(0028,1053)"),
    ],
)
def test_absurd_headers(tmp_path: Path, values: dict[str, object], words: str) -> None:
    with pydicom.config.disable_value_validation():
        path = save(dataset(volume()[0], **values), tmp_path / "a.dcm")
    assert_refused(path, words)


def test_files_without_images(tmp_path: Path) -> None:
    found = dataset(volume()[0])
    del found.PixelData
    assert_refused(save(found, tmp_path / "a.dcm"), "holds no image")
    (tmp_path / "b.dcm").write_bytes(bytes(600))
    assert_refused(tmp_path / "b.dcm", "not a DICOM file")
    whole = save(dataset(volume()[0]), tmp_path / "c.dcm").read_bytes()
    for length in (1, 131, 132, 140, 300, len(whole) // 2, len(whole) - 1):
        (tmp_path / "c.dcm").write_bytes(whole[:length])
        assert_refused(tmp_path / "c.dcm", "")
