"""NIfTI against nibabel, and against damage."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
from pathlib import Path

import dask.array as da
import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal

from napari_bridgecorr.errors import Cancelled, ReadError, WriteError
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.image import DOUBTFUL_SCALE, MISSING_SCALE, Channel, Source, SpatialImage
from napari_bridgecorr.io.nifti import NiftiReader, write_nifti
from napari_bridgecorr.io.registry import open_images
from napari_bridgecorr.io.writers import write_image

READER = NiftiReader()
RAS = np.diag([0.1, 0.2, 0.3, 1.0])
LPS = np.diag([-0.1, -0.2, 0.3, 1.0])
OBLIQUE = np.array(
    [[0.08, -0.12, 0.0, -7.0], [0.06, 0.16, 0.0, 3.5], [0.0, 0.0, 0.3, 11.0], [0, 0, 0, 1]]
)
SHEARED = np.array(
    [[0.1, 0.05, 0.02, 1.0], [0.0, 0.2, 0.03, -2.0], [0.01, 0.0, 0.3, 4.0], [0, 0, 0, 1]]
)


def make_image(
    pixels: np.ndarray, matrix: np.ndarray | None = None, **values: object
) -> SpatialImage:
    grid = Grid(pixels.shape[2:], np.eye(4) if matrix is None else matrix)
    return SpatialImage(
        levels=(da.from_array(pixels, chunks=(1, 1, 2, -1, -1)),),
        grids=(grid,),
        channels=tuple(Channel(f"C{i}") for i in range(pixels.shape[1])),
        source=Source(Path("made"), "memory"),
        **values,  # type: ignore[arg-type]
    )


def _ours(affine_mm: np.ndarray) -> np.ndarray:
    """nibabel's affine in our world."""
    result = np.eye(4)
    result[:3, :3] = 1000 * affine_mm[2::-1, 2::-1]
    result[:3, 3] = 1000 * affine_mm[2::-1, 3]
    return result


def read(path: Path) -> SpatialImage:
    (image,) = READER.read(path)
    return image


def save(path: Path, pixels: np.ndarray, affine: np.ndarray, *, two: bool = False) -> None:
    image = (nib.Nifti2Image if two else nib.Nifti1Image)(pixels, affine)
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, path)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("two", [False, True])
@pytest.mark.parametrize("affine", [RAS, LPS, OBLIQUE, SHEARED])
def test_voxels_stand_where_nibabel_puts_them(
    tmp_path: Path, affine: np.ndarray, two: bool, ending: str
) -> None:
    rng = np.random.default_rng(1)
    pixels = rng.integers(-999, 999, (5, 6, 7)).astype(np.int16)
    path = tmp_path / f"a{ending}"
    save(path, pixels, affine, two=two)
    image = read(path)
    reference = nib.load(path)
    assert image.dtype == np.int16
    assert image.source.format == ("NIfTI-2" if two else "NIfTI-1")
    assert image.source.axes == "zyx"
    # every voxel: same value, and 1000 x (S, A, R) of nibabel's position
    i, j, k = (axis.ravel() for axis in np.indices(pixels.shape))
    ras_mm = nib.affines.apply_affine(reference.affine, np.column_stack([i, j, k]))
    world = image.grid.to_world(np.column_stack([k, j, i]))
    assert_allclose(world, 1000 * ras_mm[:, ::-1], rtol=1e-12, atol=1e-9)
    assert_array_equal(image.data[0, 0].compute()[k, j, i], pixels[i, j, k])


def test_nothing_is_warned_of_in_a_good_file(tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    save(path, np.zeros((3, 4, 5), np.uint8), OBLIQUE)
    assert read(path).warnings == ()


def test_time_and_channels(tmp_path: Path) -> None:
    pixels = np.arange(2 * 3 * 4 * 5 * 2, dtype=np.float32).reshape(2, 3, 4, 5, 2)
    stored = nib.Nifti1Image(pixels, RAS)
    stored.header.set_xyzt_units("micron", "msec")
    stored.header["pixdim"][4] = 1500
    nib.save(stored, tmp_path / "a.nii.gz")
    image = read(tmp_path / "a.nii.gz")
    assert image.source.axes == "tczyx"
    assert image.time_step_s == pytest.approx(1.5)
    assert_array_equal(image.data.compute(), pixels.transpose(3, 4, 2, 1, 0))
    # microns in the header: not a thousand of them
    assert_allclose(image.grid.voxel_size_um, (0.3, 0.2, 0.1), rtol=1e-6)


def test_scaling_and_byte_order(tmp_path: Path) -> None:
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(">i2")
    stored = nib.Nifti1Image(np.linspace(-5, 5, 60).reshape(3, 4, 5), RAS, header)
    nib.save(stored, tmp_path / "a.nii")
    image = read(tmp_path / "a.nii")
    want = nib.load(tmp_path / "a.nii").get_fdata()
    assert image.dtype == np.float64
    assert image.dtype.isnative
    assert_array_equal(image.data[0, 0].compute(), want.transpose(2, 1, 0))


def test_colours_become_channels(tmp_path: Path) -> None:
    rgb = np.zeros((3, 4, 5), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    rgb["R"], rgb["B"] = 7, np.arange(60).reshape(3, 4, 5)
    nib.save(nib.Nifti1Image(rgb, RAS), tmp_path / "a.nii.gz")
    image = read(tmp_path / "a.nii.gz")
    assert [c.name for c in image.channels] == ["R", "G", "B"]
    assert image.channels[2].colour == "#0000FF"
    assert_array_equal(image.data[0, 2].compute(), rgb["B"].transpose(2, 1, 0))
    assert_array_equal(image.data[0, 0, 1:3, ::-1, 2].compute(), 7)


def test_no_codes_no_units_and_contradictions_are_warned_of(tmp_path: Path) -> None:
    stored = nib.Nifti1Image(np.zeros((3, 4, 5), np.uint8), None)
    nib.save(stored, tmp_path / "a.nii")
    image = read(tmp_path / "a.nii")
    assert "unit of length" in image.warnings[0]
    assert "neither position nor orientation" in image.warnings[1]
    expected = nib.load(tmp_path / "a.nii").affine
    assert_allclose(image.grid.index_to_world[:3, 3], 1000 * expected[2::-1, 3])

    stored = nib.Nifti1Image(np.zeros((3, 4, 5), np.uint8), RAS)
    stored.header.set_xyzt_units("mm")
    moved = RAS.copy()
    moved[0, 3] = 1.0
    stored.set_sform(RAS, 1)
    stored.set_qform(moved, 1)
    nib.save(stored, tmp_path / "b.nii")
    (warning,) = read(tmp_path / "b.nii").warnings
    assert "sform and qform" in warning
    assert "10 voxels" in warning


affines = hnp.arrays(np.float64, (3, 4), elements=st.floats(-1e4, 1e4)).filter(
    lambda m: (
        np.linalg.norm(m[:, :3], axis=0).min() > 1e-3
        and abs(np.linalg.det(m[:, :3] / np.linalg.norm(m[:, :3], axis=0))) > 1e-3
    )
)
pixel_types = st.sampled_from(
    ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", ">i2", ">f4"]
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), affine=affines, ending=st.sampled_from([".nii", ".nii.gz"]))
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, affine: np.ndarray, ending: str
) -> None:
    matrix = np.vstack([affine, [0, 0, 0, 1]])
    shape = data.draw(st.tuples(*[st.integers(1, 3)] * 2, *[st.integers(1, 5)] * 3))
    pixels = data.draw(hnp.arrays(np.dtype(data.draw(pixel_types)), shape))
    image = make_image(pixels, matrix, time_step_s=0.25)
    path = tmp_path_factory.mktemp("nifti") / f"a{ending}"
    write_nifti(image, path)
    again = read(path)
    assert_allclose(again.grid.index_to_world, matrix, rtol=1e-9, atol=0)
    assert_array_equal(again.data.compute(), pixels)
    assert again.dtype == pixels.dtype.newbyteorder("=")
    assert again.time_step_s == (0.25 if shape[0] > 1 else None)
    # what others see: nibabel's float32 sform and the same pixels
    other = nib.load(path)
    assert_allclose(1000 * other.affine[2::-1, 3], matrix[:3, 3], rtol=1e-6, atol=1e-30)
    assert_allclose(1000 * other.affine[2::-1, 2::-1], matrix[:3, :3], rtol=1e-6, atol=1e-30)
    seen = np.asanyarray(other.dataobj)
    seen = seen.reshape(seen.shape + (1,) * (5 - seen.ndim)).transpose(3, 4, 2, 1, 0)
    assert_array_equal(seen, pixels)


def test_a_move_by_another_program_wins_over_our_note(tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    write_nifti(make_image(np.zeros((1, 1, 3, 4, 5), np.uint8)), path)
    other = nib.load(path)
    moved = other.affine.copy()
    moved[0, 3] += 0.5
    other.set_sform(moved, 2)
    other.set_qform(moved, 2)
    nib.save(other, tmp_path / "b.nii")
    assert read(tmp_path / "b.nii").grid.index_to_world[2, 3] == pytest.approx(500)


def test_qform_only_where_it_can_say_the_same(tmp_path: Path) -> None:
    pixels = np.zeros((1, 1, 2, 3, 4), np.uint8)
    write_nifti(make_image(pixels, SHEARED), tmp_path / "sheared.nii")
    assert int(nib.load(tmp_path / "sheared.nii").header["qform_code"]) == 0
    write_nifti(make_image(pixels, OBLIQUE), tmp_path / "oblique.nii")
    header = nib.load(tmp_path / "oblique.nii").header
    assert (int(header["qform_code"]), int(header["sform_code"])) == (2, 2)
    assert_allclose(header.get_qform(), header.get_sform(), atol=1e-8)
    assert read(tmp_path / "oblique.nii").warnings == ()


@pytest.mark.parametrize("codes", [(0, 0), (0, 1), (1, 0), (2, 1), (4, 4), (3, 5)])
@pytest.mark.parametrize("two", [False, True])
@pytest.mark.parametrize("big_endian", [False, True])
def test_sform_goes_before_qform_as_in_nibabel(
    tmp_path: Path, codes: tuple[int, int], two: bool, big_endian: bool
) -> None:
    header = (nib.Nifti2Header if two else nib.Nifti1Header)(endianness=">" if big_endian else "<")
    header.set_data_dtype(header.endianness + "i2")
    pixels = np.arange(120, dtype=np.int16).reshape(4, 5, 6)
    stored = (nib.Nifti2Image if two else nib.Nifti1Image)(pixels, None, header)
    stored.header.set_xyzt_units("mm")
    sform_code, qform_code = codes
    stored.set_qform(_rotated(20, (2, 3, 4), (5, 6, 7)), qform_code)
    stored.set_sform(_rotated(-70, (2, 3, 4), (-9, 1, 2)), sform_code)
    nib.save(stored, tmp_path / "a.nii")
    image, reference = read(tmp_path / "a.nii"), nib.load(tmp_path / "a.nii")
    assert reference.header.endianness == (">" if big_endian else "<")
    assert_allclose(image.grid.index_to_world, _ours(reference.affine), rtol=1e-9, atol=1e-9)
    assert_array_equal(image.data[0, 0].compute(), pixels.transpose(2, 1, 0))
    told = " ".join(image.warnings)
    assert ("place the image differently" in told) == (sform_code > 0 and qform_code > 0)
    assert ("neither position nor orientation" in told) == (codes == (0, 0))


def _rotated(degrees: float, zooms: tuple[float, ...], origin: tuple[float, ...]) -> np.ndarray:
    """Turned about an axis that is none of the three."""
    axis = np.array([1.0, 2.0, 3.0]) / np.sqrt(14)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    angle = np.radians(degrees)
    turn = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(zooms)
    affine[:3, 3] = origin
    return affine


@pytest.mark.parametrize("zoom", [0.053, 0.53, 53.0])
def test_a_53_degree_volume_keeps_its_place_through_every_writer(
    tmp_path: Path, zoom: float
) -> None:
    affine = _rotated(53, (zoom, zoom, zoom * 1.5), (-31, 17, 5))
    pixels = np.random.default_rng(3).integers(0, 4000, (9, 8, 7)).astype(np.uint16)
    save(tmp_path / "a.nii.gz", pixels, affine)
    reference = nib.load(tmp_path / "a.nii.gz")
    image = read(tmp_path / "a.nii.gz")
    assert_allclose(image.grid.index_to_world, _ours(reference.affine), rtol=1e-12)
    doubts = [w for w in image.warnings if w.startswith(DOUBTFUL_SCALE)]
    assert bool(doubts) == (zoom == 53.0)
    for name in ("b.ome.zarr", "b.nii", "b.nii.gz", "b.ome.tif"):
        write_image(image, tmp_path / name)
        (again, *_) = open_images(tmp_path / name)
        assert_allclose(again.grid.index_to_world, image.grid.index_to_world, rtol=1e-9, atol=1e-9)
        assert_array_equal(again.data[0, 0].compute(), pixels.transpose(2, 1, 0))


@pytest.mark.parametrize(
    ("code", "um", "told"), [(0, 1e3, True), (1, 1e6, False), (2, 1e3, False), (3, 1.0, False)]
)
@pytest.mark.parametrize("coded", ["sform", "qform"])
def test_units_of_length(tmp_path: Path, code: int, um: float, told: bool, coded: str) -> None:
    stored = nib.Nifti1Image(np.zeros((3, 4, 5), np.uint8), None)
    affine = _rotated(10, (2, 3, 4), (5, 6, 7))
    (stored.set_sform if coded == "sform" else stored.set_qform)(affine, 1)
    stored.header["xyzt_units"] = code
    nib.save(stored, tmp_path / "a.nii")
    image = read(tmp_path / "a.nii")
    expected = _ours(nib.load(tmp_path / "a.nii").affine)
    expected[:3] *= um / 1000
    assert_allclose(image.grid.index_to_world, expected, rtol=1e-12)
    assert any("mm is assumed" in w for w in image.warnings) == told


def test_negative_sizes_and_an_impossible_handedness_are_mended_as_by_nibabel(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.nii"
    stored = nib.Nifti1Image(np.zeros((3, 4, 5), np.uint8), None)
    stored.header.set_xyzt_units("mm")
    stored.set_qform(_rotated(30, (0.2, 0.3, 0.4), (5, 6, 7)), 1)
    nib.save(stored, path)
    _edit(path, 76, _floats(0.5, -0.2, 0.3, -0.4))
    image = read(path)
    assert_allclose(image.grid.index_to_world, _ours(nib.load(path).affine), rtol=1e-12)
    assert "negative voxel size" in image.warnings[0]


def test_an_empty_sform_gives_way_to_the_qform(tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    stored = nib.Nifti1Image(np.zeros((3, 4, 5), np.uint8), None)
    stored.header.set_xyzt_units("mm")
    stored.set_qform(_rotated(30, (0.2, 0.3, 0.4), (5, 6, 7)), 1)
    nib.save(stored, path)
    _edit(path, 254, _shorts(1))
    _edit(path, 280, _floats(*[0] * 12))
    image = read(path)
    with path.open("rb") as file:
        qform = nib.Nifti1Header.from_fileobj(file).get_qform()
    assert_allclose(image.grid.index_to_world, _ours(qform), rtol=1e-12)
    assert image.warnings == ("the file's sform is no place in space: qform used",)


@pytest.mark.parametrize(("stored_as", "real"), [(np.complex64, "f4"), (np.complex128, "f8")])
def test_complex_numbers_become_magnitude_and_phase(
    tmp_path: Path, stored_as: type, real: str
) -> None:
    rng = np.random.default_rng(4)
    values = (rng.normal(size=(3, 4, 5, 1, 2)) + 1j * rng.normal(size=(3, 4, 5, 1, 2))).astype(
        stored_as
    )
    save(tmp_path / "a.nii", values, RAS)
    image = read(tmp_path / "a.nii")
    assert image.dtype == np.dtype(real)
    assert [c.name for c in image.channels] == [
        f"C{n} {part}" for n in (0, 1) for part in ("magnitude", "phase (rad)")
    ]
    assert "magnitude and phase" in image.warnings[0]
    for n in (0, 1):
        want = values[..., 0, n].transpose(2, 1, 0)
        assert_array_equal(image.data[0, 2 * n].compute(), np.abs(want))
        assert_array_equal(image.data[0, 2 * n + 1].compute(), np.angle(want))
    assert_array_equal(image.data[0, 1:3, 2:].compute(), image.data.compute()[0, 1:3, 2:])


def test_colours_with_opacity_at_several_times(tmp_path: Path) -> None:
    rgba = np.zeros((3, 4, 5, 2), dtype=[(name, "u1") for name in "RGBA"])
    for number, name in enumerate("RGBA"):
        rgba[name] = number + np.arange(120).reshape(3, 4, 5, 2)
    save(tmp_path / "a.nii", rgba, RAS)
    image = read(tmp_path / "a.nii")
    assert image.data.shape == (2, 4, 5, 4, 3)
    for number, name in enumerate("RGBA"):
        assert_array_equal(image.data[:, number].compute(), rgba[name].transpose(3, 2, 1, 0))
    assert_array_equal(image.data[1, 2:4, 4].compute(), image.data.compute()[1, 2:4, 4])


@pytest.mark.parametrize("intent", [1002, 1005])
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32])
def test_labels_are_labels_again(tmp_path: Path, intent: int, dtype: type) -> None:
    labels = np.arange(60).reshape(3, 4, 5).astype(dtype)
    stored = nib.Nifti1Image(labels, RAS)
    stored.header.set_xyzt_units("mm")
    stored.header["intent_code"] = intent
    nib.save(stored, tmp_path / "a.nii.gz")
    image = read(tmp_path / "a.nii.gz")
    assert image.is_labels
    assert image.dtype.kind in "iu"
    assert_array_equal(image.data[0, 0].compute(), labels.transpose(2, 1, 0))
    write_nifti(image, tmp_path / "b.nii.gz")
    again = nib.load(tmp_path / "b.nii.gz")
    assert int(again.header["intent_code"]) == 1002
    assert again.get_data_dtype().kind in "iu"
    assert (again.dataobj.slope, again.dataobj.inter) == (1, 0)
    assert_array_equal(np.asanyarray(again.dataobj), labels)


def test_a_label_that_is_none_is_refused(tmp_path: Path) -> None:
    stored = nib.Nifti1Image(np.full((3, 4, 5), 1.5, np.float32), RAS)
    stored.header["intent_code"] = 1002
    nib.save(stored, tmp_path / "a.nii")
    _assert_refused(tmp_path / "a.nii", "one of them is 1.5")


def test_vectors_are_said_to_be_vectors(tmp_path: Path) -> None:
    for intent, name in ((1006, "DISPVECT"), (1007, "VECTOR")):
        stored = nib.Nifti1Image(np.ones((3, 4, 5, 1, 3), np.float32), RAS)
        stored.header.set_xyzt_units("mm")
        stored.header["intent_code"] = intent
        nib.save(stored, tmp_path / "a.nii")
        image = read(tmp_path / "a.nii")
        assert len(image.channels) == 3
        (warning,) = image.warnings
        assert name in warning
        assert "as a transform" in warning


@pytest.mark.parametrize("endianness", ["<", ">"])
@pytest.mark.parametrize("kind", [nib.AnalyzeImage, nib.Spm99AnalyzeImage, nib.Spm2AnalyzeImage])
def test_analyze_pairs_as_nibabel_reads_them(tmp_path: Path, kind: type, endianness: str) -> None:
    pixels = np.arange(120, dtype=np.int16).reshape(4, 5, 6)
    header = kind.header_class(endianness=endianness)
    header.set_data_dtype(np.int16)
    stored = kind(pixels, np.diag([-0.1, 0.2, 0.3, 1]), header)
    stored.to_filename(tmp_path / "a.img")
    (tmp_path / "a.mat").unlink(missing_ok=True)
    reference = nib.load(tmp_path / "a.img")
    image = read(tmp_path / "a.hdr")
    assert image.source.format == "ANALYZE 7.5"
    assert_allclose(image.grid.index_to_world, _ours(reference.affine), rtol=1e-9, atol=1e-9)
    assert_array_equal(
        image.data[0, 0].compute(), np.asanyarray(reference.dataobj).transpose(2, 1, 0)
    )
    assert "which side is left" in image.warnings[0]


def test_a_scaled_spm_pair(tmp_path: Path) -> None:
    pixels = np.linspace(-1, 7, 120).reshape(4, 5, 6)
    header = nib.Spm2AnalyzeHeader()
    header.set_data_dtype(np.int16)
    nib.Spm2AnalyzeImage(pixels, None, header).to_filename(tmp_path / "a.img")
    want = nib.load(tmp_path / "a.img").get_fdata()
    assert_array_equal(read(tmp_path / "a.img").data[0, 0].compute(), want.transpose(2, 1, 0))


@pytest.mark.parametrize("units", ["mm", "micron", "meter"])
@pytest.mark.parametrize(
    ("zoom", "factor"), [(0.15, None), (1.5, 10), (15.0, 100), (150.0, 1000), (150e-6, 0.001)]
)
def test_the_same_animal_at_any_scale(
    tmp_path: Path, zoom: float, factor: float | None, units: str
) -> None:
    per_mm = {"mm": 1, "micron": 1000, "meter": 0.001}[units]
    stored = nib.Nifti1Image(np.zeros((112, 128, 80), np.uint8), np.diag([zoom * per_mm] * 3 + [1]))
    stored.header.set_xyzt_units(units)
    nib.save(stored, tmp_path / "a.nii.gz")
    image = read(tmp_path / "a.nii.gz")
    if factor is None:
        assert image.warnings == ()
        return
    (warning,) = image.warnings
    assert warning.startswith(DOUBTFUL_SCALE)
    assert warning.endswith("--spacing 150,150,150")
    assert "\n" not in warning
    assert image.metadata["spacing_suspect"]["factor"] == pytest.approx(factor)
    suggested = image.metadata["spacing_suspect"]["suggested_spacing_um"]
    mended = image.with_voxel_size(suggested)
    assert mended.warnings == ()
    assert_allclose(mended.grid.voxel_size_um, 150, rtol=1e-5)


def test_names_labels_and_long_axes_survive(tmp_path: Path) -> None:
    image = make_image(np.zeros((1, 2, 1, 1, 40000), np.uint16), metadata={"is_label": True})
    write_nifti(image, tmp_path / "a.nii.gz")
    again = read(tmp_path / "a.nii.gz")
    assert again.source.format == "NIfTI-2"
    assert again.metadata["is_label"] is True
    assert again.data.shape == image.data.shape


def test_missing_values_survive(tmp_path: Path) -> None:
    pixels = np.full((1, 1, 2, 2, 2), np.nan, np.float32)
    write_nifti(make_image(pixels), tmp_path / "a.nii")
    assert np.isnan(read(tmp_path / "a.nii").data.compute()).all()


class _Impatient:
    def begin(self, task: str, total: int) -> None:
        assert task
        assert total > 0

    def advance(self, steps: int = 1) -> None:
        raise Cancelled(f"after {steps}")


def test_cancelling_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        write_nifti(make_image(np.zeros((1, 1, 2, 2, 2))), tmp_path / "a.nii.gz", _Impatient())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.mha", "missing/a.nii"])
def test_impossible_outputs(tmp_path: Path, name: str) -> None:
    with pytest.raises(WriteError):
        write_nifti(make_image(np.zeros((1, 1, 2, 2, 2))), tmp_path / name)


def test_opening_and_one_plane_of_a_huge_file_cost_little(tmp_path: Path) -> None:
    header = nib.Nifti1Header()
    header.set_data_dtype(np.uint8)
    header.set_data_shape((1000, 1000, 4000))
    header.set_sform(RAS, 1)
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    path = tmp_path / "huge.nii"
    with path.open("wb") as file:
        file.write(header.binaryblock + bytes(4))
        file.truncate(352 + 4_000_000_000)
        file.seek(352 + 3999 * 1_000_000 + 17)
        file.write(b"\x2a")
    tracemalloc.start()
    plane = read(path).data[0, 0, 3999].compute(scheduler="synchronous")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert plane[0, 17] == 42
    assert peak < 20e6


def test_writing_holds_a_slab_at_a_time(tmp_path: Path) -> None:
    data = da.zeros((1, 1, 512, 512, 1024), dtype=np.uint8, chunks=(1, 1, 8, 512, 1024))
    grid = Grid.from_spacing((512, 512, 1024), 1)
    image = SpatialImage((data,), (grid,), (Channel("C0"),), Source(Path("made"), "memory"))
    tracemalloc.start()
    write_nifti(image, tmp_path / "a.nii")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200e6  # the volume has 268e6 bytes, a slab 67e6 and its blocks as much


def _edit(path: Path, at: int, value: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[at : at + len(value)] = value
    path.write_bytes(bytes(content))


def _floats(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


def _shorts(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}h", *values)


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [
        (280, _floats(np.nan), "geometry"),
        (280, _floats(*[0] * 12), "geometry"),
        (280, _floats(1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0), "geometry"),
        (40, _shorts(3, -4, 5, 6), "sizes"),
        (40, _shorts(3, 0, 5, 6), "sizes"),
        (40, _shorts(9), "dimensions"),
        (40, _shorts(3, 32000, 32000, 32000), "cut short"),
        (40, _shorts(7, 2, 2, 2, 1, 1, 3, 1), "dimensions"),
        (70, _shorts(2048), "type"),
        (70, _shorts(1), "type"),
        (70, _shorts(77), "type"),
        (108, _floats(np.inf), "byte"),
        (108, _floats(-8), "byte"),
        (112, _floats(2, np.nan), "scales"),
        (344, b"xxx", "not a NIfTI"),
    ],
)
def test_absurd_headers(tmp_path: Path, at: int, value: bytes, words: str) -> None:
    path = tmp_path / "a.nii"
    save(path, np.zeros((4, 5, 6), np.float32), OBLIQUE)
    _edit(path, at, value)
    _assert_refused(path, words)
    packed = tmp_path / "b.nii.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    _assert_refused(packed, words)


def test_zero_zooms_without_sform_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    save(path, np.zeros((4, 5, 6), np.float32), RAS)
    _edit(path, 252, _shorts(1, 0))
    _edit(path, 80, _floats(0.1, 0, 0))
    image = read(path)
    assert image.voxel_size_known == (False, False, True)
    (warning,) = image.warnings
    assert warning.startswith(MISSING_SCALE)
    assert "along z, y " in warning
    assert_allclose(image.grid.index_to_world, _ours(nib.load(path).affine), rtol=1e-12)
    assert image.with_voxel_size((1, 2, 3)).warnings == ()


def _assert_refused(path: Path, words: str) -> None:
    with pytest.raises(ReadError) as caught:
        read(path).data.compute(scheduler="synchronous")
    message = str(caught.value)
    assert words in message
    assert str(path) in message
    assert "\n" not in message


@pytest.mark.parametrize("kept", [0, 3, 100, 347, 352, 400, 831])
def test_truncated(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "a.nii"
    save(path, np.ones((4, 5, 6), np.float32), OBLIQUE)
    path.write_bytes(path.read_bytes()[:kept])
    _assert_refused(path, "")


@pytest.mark.parametrize("fraction", [0, 0.01, 0.1, 0.5, 0.9, 0.999])
def test_truncated_gzip(tmp_path: Path, fraction: float) -> None:
    path = tmp_path / "a.nii.gz"
    save(path, np.random.default_rng(0).random((20, 20, 20)), OBLIQUE)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * fraction)])
    with pytest.raises(ReadError):
        READER.read(path)


def test_damaged_gzip(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    save(path, np.random.default_rng(0).random((20, 20, 20)), OBLIQUE)
    _edit(path, path.stat().st_size // 2, b"damage")
    with pytest.raises(ReadError, match="damaged"):
        READER.read(path)


def test_gzip_in_several_members_is_read(tmp_path: Path) -> None:
    save(tmp_path / "a.nii", np.arange(120, dtype=np.uint8).reshape(4, 5, 6), OBLIQUE)
    whole = (tmp_path / "a.nii").read_bytes()
    path = tmp_path / "b.nii.gz"
    path.write_bytes(gzip.compress(whole[:200]) + gzip.compress(whole[200:]))
    assert int(read(path).data.sum().compute()) == sum(range(120))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.nii", b"II*\0" + bytes(400), "a TIFF file); rename it to end in .tif"),
        ("a.nii.gz", b"MM\0*" + bytes(400), "a TIFF file"),
        ("a.nii", gzip.compress(bytes(400)), "gzip"),
        ("a.nii", b"hello world", "no known image format"),
        ("a.nii.gz", gzip.compress(b"hello world"), "no known image format"),
        ("a.nii", struct.pack("<i", 348) + bytes(600), "ANALYZE"),
    ],
)
def test_mislabelled(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    _assert_refused(tmp_path / name, words)


def test_pair_of_header_and_pixels(tmp_path: Path) -> None:
    pixels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    nib.save(nib.Nifti1Pair(pixels, RAS), tmp_path / "a.hdr")
    for name in ("a.hdr", "a.img"):
        assert READER.claim(tmp_path / name).accepted
        assert_array_equal(read(tmp_path / name).data[0, 0].compute(), pixels.transpose(2, 1, 0))
    (tmp_path / "a.img").unlink()
    _assert_refused(tmp_path / "a.hdr", "a.img is missing")


def test_real_files_as_nibabel_reads_them(real_data: Path) -> None:
    files = [*real_data.glob("nifti/*.nii*"), *real_data.glob("mouse_mri/*/*.nii.gz")]
    assert len(files) >= 10
    for path in files:
        if path.stat().st_size == 0:
            _assert_refused(path, "empty")
            continue
        image = read(path)
        reference = nib.load(path)
        want = reference.get_fdata()
        want = want.reshape(want.shape + (1,) * (5 - want.ndim)).transpose(3, 4, 2, 1, 0)
        assert_array_equal(image.data.compute(), want)
        assert_allclose(image.grid.index_to_world, _ours(reference.affine), rtol=1e-12, atol=1e-9)
        corner = np.array([*reference.shape[:3]]) - 1
        assert_allclose(
            image.grid.to_world(corner[::-1])[0],
            1000 * nib.affines.apply_affine(reference.affine, corner)[::-1],
            rtol=1e-12,
        )
