"""NRRD and MetaImage against SimpleITK, and against damage."""

from __future__ import annotations

import bz2
import gzip
import pickle
import tracemalloc
import zlib
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from napari_bridgecorr.errors import ReadError
from napari_bridgecorr.image import MISSING_SCALE, SpatialImage
from napari_bridgecorr.io.itk_volumes import inflate
from napari_bridgecorr.io.itk_volumes.inflate import InflatedBytes
from napari_bridgecorr.io.registry import open_images
from napari_bridgecorr.io.writers import write_image

ENDINGS = (".nrrd", ".nhdr", ".mha", ".mhd")
TURNED = (0.6, -0.8, 0.0, 0.8, 0.6, 0.0, 0.0, 0.0, 1.0)


def read(path: Path) -> SpatialImage:
    (image,) = open_images(path)
    return image


def make(array: np.ndarray, *, is_vector: bool = False) -> sitk.Image:
    image = sitk.GetImageFromArray(array, isVector=is_vector)
    n_dims = image.GetDimension()
    image.SetSpacing((0.1, 0.2, 0.3, 2.5)[:n_dims])
    image.SetOrigin((-7.0, 3.5, 11.0, 0.0)[:n_dims])
    if n_dims == 3:
        image.SetDirection(TURNED)
    return image


def expected_place(image: sitk.Image) -> np.ndarray:
    """ITK's own answer for every axis: LPS mm to (S, A, R) um."""
    sample = sitk.Image([2, 2, 2], sitk.sitkUInt8) if image.GetDimension() == 3 else None
    assert sample is not None
    matrix = np.eye(4)
    origin = np.array(image.TransformContinuousIndexToPhysicalPoint((0.0, 0.0, 0.0)))
    flip = 1000 * np.array([-1, -1, 1])
    for axis in range(3):
        step = np.zeros(3)
        step[axis] = 1
        moved = np.array(image.TransformContinuousIndexToPhysicalPoint(step.tolist())) - origin
        matrix[:3, 2 - axis] = (flip * moved)[::-1]
    matrix[:3, 3] = (flip * origin)[::-1]
    return matrix


def pixels(dtype: object = np.int16, shape: tuple[int, ...] = (5, 6, 7)) -> np.ndarray:
    return np.random.default_rng(2).integers(1, 120, shape).astype(dtype)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
def test_voxels_and_place_are_those_of_itk(
    tmp_path: Path, ending: str, compressed: bool, dtype: str
) -> None:
    path = tmp_path / f"a{ending}"
    sitk.WriteImage(make(pixels(dtype)), path, compressed)
    image, reference = read(path), sitk.ReadImage(path)
    assert image.dtype == np.dtype(dtype)
    assert_array_equal(image.data[0, 0].compute(), sitk.GetArrayFromImage(reference))
    assert_allclose(image.grid.index_to_world, expected_place(reference), rtol=1e-12, atol=1e-9)
    assert image.warnings == ()
    assert image.source.axes == "zyx"


@pytest.mark.parametrize("ending", ENDINGS)
def test_vectors_and_colours_become_channels(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    for n_channels in (2, 3, 4, 7):
        array = pixels(np.uint8, (5, 6, 7, n_channels))
        sitk.WriteImage(make(array, is_vector=True), path, n_channels == 4)
        image = read(path)
        assert image.data.shape == (1, n_channels, 5, 6, 7)
        assert_array_equal(image.data[0].compute(), array.transpose(3, 0, 1, 2))
        # a corner of some of the channels, as a viewer asks for it
        part = image.read(0, (0, 1, 2, 1, 3), (1, 2, 4, 5, 6))
        assert_array_equal(part[0, 0], array[2:4, 1:5, 3:6, 1])


@pytest.mark.parametrize("ending", ENDINGS)
def test_times_and_flat_images(tmp_path: Path, ending: str) -> None:
    array = pixels(np.float32, (3, 4, 5, 6))
    sitk.WriteImage(make(array), tmp_path / f"a{ending}")
    image = read(tmp_path / f"a{ending}")
    assert_array_equal(image.data[:, 0].compute(), array)
    assert image.time_step_s == pytest.approx(2.5)
    assert_allclose(image.grid.voxel_size_um, (300, 200, 100))
    flat = pixels(np.uint16, (8, 9))
    sitk.WriteImage(make(flat), tmp_path / f"b{ending}")
    image = read(tmp_path / f"b{ending}")
    assert image.source.axes == "yx"
    assert_array_equal(image.data[0, 0, 0].compute(), flat)
    assert_allclose(image.grid.voxel_size_um[1:], (200, 100))


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_box_is_that_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    shape = data.draw(st.tuples(*[st.integers(1, 5)] * 4))
    is_vector = data.draw(st.booleans())
    array = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    path = tmp_path_factory.mktemp("itk") / f"a{data.draw(st.sampled_from(ENDINGS))}"
    sitk.WriteImage(make(array, is_vector=is_vector), path, data.draw(st.booleans()))
    image = read(path)
    whole = image.data.compute()
    moved = array.transpose(3, 0, 1, 2)[None] if is_vector else array[:, None]
    assert_array_equal(whole, moved)
    starts = [data.draw(st.integers(0, n - 1)) for n in whole.shape]
    stops = [data.draw(st.integers(a + 1, n)) for a, n in zip(starts, whole.shape, strict=True)]
    part = tuple(slice(a, b) for a, b in zip(starts, stops, strict=True))
    assert_array_equal(image.read(0, starts, stops), whole[part])


def _nrrd(path: Path, fields: str, content: bytes, *, version: int = 4) -> Path:
    path.write_bytes(f"NRRD000{version}\n{fields}\n\n".encode() + content)
    return path


def _small(name: str = "short") -> str:
    return f"type: {name}\ndimension: 3\nsizes: 2 3 4\nendian: little\nencoding: raw"


RAW = np.arange(1, 25, dtype="<i2").tobytes()
DIRECTIONS = "space directions: (0.5,0,0) (0,0.6,0) (0,0.1,0.7)\nspace origin: (1,2,3)"


@pytest.mark.parametrize(
    "space",
    [
        "space: right-anterior-superior",
        "space: RAS",
        "space: left-anterior-superior",
        "space: LAS",
        "space: left-posterior-superior",
        "space: LPS",
        "space: scanner-xyz",
        "space: 3D-right-handed",
        "space dimension: 3",
    ],
)
def test_every_space_of_nrrd_is_placed_as_by_itk(tmp_path: Path, space: str) -> None:
    path = _nrrd(tmp_path / "a.nrrd", f"{_small()}\n{space}\n{DIRECTIONS}", RAW)
    image = read(path)
    assert_allclose(
        image.grid.index_to_world, expected_place(sitk.ReadImage(path)), rtol=1e-12, atol=1e-9
    )
    is_named = not any(word in space for word in ("scanner", "3D", "dimension"))
    assert (image.warnings == ()) == is_named


@pytest.mark.parametrize(
    "fields",
    [
        "spacings: 0.5 0.6 0.7",
        "spacings: 0.5 0.6 0.7\naxis mins: 1 2 3",
        "spacings: 0.5 0.6 0.7\naxismins: 1 2 3\ncenterings: cell cell cell",
        "spacings: 0.5 0.6 0.7\naxis mins: 1 2 3\ncenters: node node node",
        "spacings: 0.5 NaN 0.7",
        "",
    ],
)
def test_spacings_without_a_space_are_placed_as_by_itk(tmp_path: Path, fields: str) -> None:
    path = _nrrd(tmp_path / "a.nrrd", f"{_small()}\n{fields}".strip(), RAW)
    image = read(path)
    assert_allclose(
        image.grid.index_to_world, expected_place(sitk.ReadImage(path)), rtol=1e-12, atol=1e-9
    )
    assert "how it lies in the body" in image.warnings[0]
    asked = [w for w in image.warnings if w.startswith(MISSING_SCALE)]
    assert bool(asked) == ("spacings" not in fields or "NaN" in fields)
    assert image.voxel_size_known == tuple(
        "spacings" in fields and not ("NaN" in fields and axis == "y") for axis in "zyx"
    )


@pytest.mark.parametrize(("unit", "um"), [("um", 1.0), ("mm", 1e3), ("m", 1e6), ("µm", 1.0)])
def test_units_of_nrrd(tmp_path: Path, unit: str, um: float) -> None:
    units = f'space units: "{unit}" "{unit}" "{unit}"'
    fields = f"{_small()}\nspace: RAS\nspace directions: (5,0,0) (0,6,0) (0,0,7)\n{units}"
    image = read(_nrrd(tmp_path / "a.nrrd", fields, RAW))
    assert_allclose(image.grid.voxel_size_um, (7 * um, 6 * um, 5 * um))


@pytest.mark.parametrize(
    ("sizes", "directions", "kinds"),
    [
        ("2 3 4 1", "none (0.5,0,0) (0,0.6,0) (0,0,0.7)", "list domain domain domain"),
        ("3 4 1 2", "(0.5,0,0) (0,0.6,0) (0,0,0.7) none", "domain domain domain list"),
        ("2 3 4 1", "none (0.5,0,0) (0,0.6,0) (0,0,0.7)", "vector space space space"),
    ],
)
def test_channels_of_nrrd_are_found_wherever_they_are(
    tmp_path: Path, sizes: str, directions: str, kinds: str
) -> None:
    fields = (
        f"type: short\ndimension: 4\nsizes: {sizes}\nendian: little\nencoding: raw\n"
        f"space: LPS\nspace directions: {directions}\nkinds: {kinds}"
    )
    path = _nrrd(tmp_path / "a.nrrd", fields, RAW)
    image, reference = read(path), sitk.ReadImage(path)
    want = sitk.GetArrayFromImage(reference)
    assert_array_equal(image.data[0].compute(), want.transpose(3, 0, 1, 2))
    assert_allclose(image.grid.index_to_world, expected_place(reference), rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("encoding", ["raw", "gzip", "gz", "bzip2", "bz2", "text", "ascii", "hex"])
@pytest.mark.parametrize("is_detached", [False, True])
def test_every_encoding_of_nrrd(tmp_path: Path, encoding: str, is_detached: bool) -> None:
    array = pixels(np.int16, (4, 3, 2))
    stored = {
        "raw": lambda raw: raw,
        "gz": gzip.compress,
        "bz": bz2.compress,
        "te": lambda _: " ".join(map(str, array.ravel())).encode(),
        "he": lambda raw: raw.hex().encode(),
    }[encoding.replace("ascii", "text").replace("raw", "raw")[: 3 if encoding == "raw" else 2]](
        array.astype("<i2").tobytes()
    )
    fields = _small().replace("raw", encoding) + f"\nspace: RAS\n{DIRECTIONS}"
    if is_detached:
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / "a.dat").write_bytes(stored)
        path = _nrrd(tmp_path / "a.nhdr", fields + "\ndata file: sub/a.dat", b"")
    else:
        path = _nrrd(tmp_path / "a.nrrd", fields, stored)
    image = read(path)
    assert_array_equal(image.data[0, 0].compute(), array)
    assert_array_equal(image.data[0, 0, 2:, 1].compute(), array[2:, 1])


def test_big_endian_skips_and_comments(tmp_path: Path) -> None:
    array = pixels(np.int16, (4, 3, 2))
    fields = _small().replace("little", "big") + f"\n# a comment: of mine\nspace: RAS\n{DIRECTIONS}"
    (tmp_path / "a.raw").write_bytes(b"P5\n2 12\nxx" + array.astype(">i2").tobytes())
    detached = fields + "\nline skip: 2\nbyte skip: 2\ndata file: a.raw\nkey:=value: of a key"
    image = read(_nrrd(tmp_path / "a.nhdr", detached, b""))
    assert_array_equal(image.data[0, 0].compute(), array)
    assert image.metadata["key"] == "value: of a key"
    last = fields + "\nbyte skip: -1\ndata file: a.raw"
    assert_array_equal(read(_nrrd(tmp_path / "b.nhdr", last, b"")).data[0, 0].compute(), array)


@pytest.mark.parametrize(
    "names", ["data file: LIST\n{0}\n{1}\n{2}\n{3}", "data file: s%02d.raw 1 4 1"]
)
def test_a_file_per_slice(tmp_path: Path, names: str) -> None:
    array = pixels(np.int16, (4, 3, 2))
    files = [f"s{number:02d}.raw" for number in range(1, 5)]
    for file, plane in zip(files, array, strict=True):
        (tmp_path / file).write_bytes(plane.astype("<i2").tobytes())
    fields = f"{_small()}\nspace: RAS\n{DIRECTIONS}\n{names.format(*files)}"
    path = tmp_path / "a.nhdr"
    path.write_bytes(f"NRRD0004\n{fields}\n".encode())
    assert_array_equal(read(path).data[0, 0].compute(), array)
    meta = "LIST\n" + "\n".join(files) if "LIST" in names else "s%02d.raw 1 4 1"
    path = tmp_path / "a.mhd"
    path.write_text(f"{META.replace('LOCAL', meta)}\n")
    assert_array_equal(read(path).data[0, 0].compute(), array)
    assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(path)), array)
    (tmp_path / files[2]).unlink()
    assert_refused(path, "missing")


META = (
    "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
    "ElementSpacing = 0.5 0.6 0.7\nDimSize = 2 3 4\nElementType = MET_SHORT\n"
    "ElementDataFile = LOCAL"
)


@pytest.mark.parametrize(
    "extra",
    [
        "",
        "ElementSize = 2 3 4\n",
        "Position = 1 2 3\n",
        "Origin = 1 2 3\n",
        "Offset = 1 2 3\n",
        "Orientation = 0 1 0 -1 0 0 0 0 1\n",
        "Rotation = 0 1 0 -1 0 0 0 0 1\n",
        "TransformMatrix = 0.6 0.8 0 -0.8 0.6 0 0 0 1\n",
        "TransformMatrix = 1 0.1 0 0 1 0 0 0 1\n",
        "HeaderSize = -1\n",
        "Comment = a = b\n",
        "AnatomicalOrientation = LAS\n",
    ],
)
def test_fields_of_meta_image_are_read_as_by_itk(tmp_path: Path, extra: str) -> None:
    path = tmp_path / "a.mha"
    text = META.replace("ElementSpacing", extra + "ElementSpacing")
    path.write_bytes((text + "\n").encode() + RAW)
    image, reference = read(path), sitk.ReadImage(path)
    assert_array_equal(image.data[0, 0].compute(), sitk.GetArrayFromImage(reference))
    assert_allclose(image.grid.index_to_world, expected_place(reference), rtol=1e-12, atol=1e-9)


def test_text_and_missing_sizes_of_meta_image(tmp_path: Path) -> None:
    path = tmp_path / "a.mha"
    text = META.replace("BinaryData = True", "BinaryData = False")
    text = text.replace("ElementSpacing = 0.5 0.6 0.7\n", "")
    path.write_text(text + "\n" + " ".join(map(str, range(1, 25))) + "\n")
    image = read(path)
    assert_array_equal(image.data[0, 0].compute().ravel(), np.arange(1, 25))
    assert image.voxel_size_known == (False, False, False)
    assert image.warnings[0].startswith(MISSING_SCALE)


def test_segmentations_of_slicer_are_labels(tmp_path: Path) -> None:
    fields = f"{_small()}\nspace: RAS\n{DIRECTIONS}\nSegment0_ID:=Segment_1"
    image = read(_nrrd(tmp_path / "a.seg.nrrd", fields, RAW))
    assert image.is_labels


def test_through_ome_zarr_and_back(tmp_path: Path) -> None:
    sitk.WriteImage(make(pixels()), tmp_path / "a.nrrd", True)
    image = read(tmp_path / "a.nrrd")
    write_image(image, tmp_path / "b.ome.zarr")
    again = read(tmp_path / "b.ome.zarr")
    assert_allclose(again.grid.index_to_world, image.grid.index_to_world, rtol=1e-9, atol=1e-9)
    assert_array_equal(again.data.compute(), image.data.compute())


def assert_refused(path: Path, words: str) -> None:
    with pytest.raises(ReadError) as caught:
        read(path).data.compute(scheduler="synchronous")
    message = str(caught.value)
    assert words in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "name",
    ["../a.raw", "/etc/passwd", "sub/../../a.raw", "C:\\a.raw", "..\\a.raw", "", "\\\\host\\a.raw"],
)
def test_data_files_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.raw").write_bytes(RAW)
    folder = tmp_path / "in"
    folder.mkdir()
    fields = f"{_small()}\nspace: RAS\n{DIRECTIONS}\ndata file: {name}"
    assert_refused(_nrrd(folder / "a.nhdr", fields, b""), "data file")
    (folder / "a.mhd").write_text(META.replace("LOCAL", name) + "\n")
    assert_refused(folder / "a.mhd", "data file")
    (folder / "b.mhd").write_text(META.replace("LOCAL", f"LIST\n{name or '?'}\nx\ny\nz") + "\n")
    assert_refused(folder / "b.mhd", "data file")


def test_links_to_elsewhere_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(RAW)
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "b.raw").symlink_to(tmp_path / "a.raw")
    (folder / "a.mhd").write_text(META.replace("LOCAL", "b.raw") + "\n")
    assert_refused(folder / "a.mhd", "link")


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_what_itk_would_show_as_zeros_is_refused(tmp_path: Path, ending: str) -> None:
    array = np.random.default_rng(0).integers(1, 255, (40, 50, 60)).astype(np.uint8)
    path = tmp_path / f"a{ending}"
    sitk.WriteImage(make(array), path, True)
    whole = path.read_bytes()
    for part in (0.3, 0.6, 0.9, 0.9999):
        path.write_bytes(whole[: int(len(whole) * part)])
        assert_refused(path, "cut short" if part < 0.99 else "")
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 0x10
    path.write_bytes(bytes(changed))
    assert_refused(path, "damaged")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("sizes: 2 3 4", "sizes: 2 3 400000000", "cut short"),
        ("sizes: 2 3 4", "sizes: 2 3 -4", "sizes"),
        ("sizes: 2 3 4", "sizes: 2 3", "sizes"),
        ("sizes: 2 3 4", f"sizes: 2 3 {'9' * 5000}", "sizes"),
        ("sizes: 2 3 4", "sizes: 1000000000000 1000000000000 2", "sizes"),
        ("dimension: 3", "dimension: 16", "dimensions"),
        ("dimension: 3\n", "", "dimension"),
        ("type: short", "type: block", "voxel type"),
        ("endian: little\n", "", "byte order"),
        ("encoding: raw", "encoding: magic", "encoding"),
        ("space: RAS", "space: outer", "space"),
        ("(0,0.6,0)", "(0,0,0)", "geometry"),
        ("(0,0.6,0)", "(0,nan,0)", "geometry"),
        ("(0,0.6,0)", "(1,0,0)", "geometry"),
        ("(0,0.6,0)", "", "space directions"),
        ("(1,2,3)", "(1,2)", "space origin"),
        ("space: RAS", "space: RAS\nthis is no field", "header line"),
    ],
)
def test_absurd_nrrd(tmp_path: Path, old: str, new: str, words: str) -> None:
    fields = f"{_small()}\nspace: RAS\n{DIRECTIONS}"
    assert old in fields
    assert_refused(_nrrd(tmp_path / "a.nrrd", fields.replace(old, new), RAW), words)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("DimSize = 2 3 4", "DimSize = 2 3 400000000", "cut short"),
        ("DimSize = 2 3 4", "DimSize = 2 0 4", "sizes"),
        ("DimSize = 2 3 4", "DimSize = 2 3", "sizes"),
        ("NDims = 3", "NDims = 30", "dimensions"),
        ("MET_SHORT", "MET_OTHER", "voxel type"),
        ("0.5 0.6 0.7", "0 0.6 0.7", "geometry"),
        ("0.5 0.6 0.7", "inf 0.6 0.7", "geometry"),
        ("0.5 0.6 0.7", "a b c", "ElementSpacing"),
        ("ElementDataFile = LOCAL", "", "line without"),
        ("LOCAL", "s%s.raw 1 4 1", "names its data files"),
        ("LOCAL", "s%d.raw 1 999999999 1", "numbers its data files"),
    ],
)
def test_absurd_meta_image(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in META
    (tmp_path / "a.mha").write_bytes((META.replace(old, new) + "\n").encode() + RAW)
    assert_refused(tmp_path / "a.mha", words)


@pytest.mark.parametrize("name", ["a.nrrd", "a.nhdr", "a.mha", "a.mhd"])
@pytest.mark.parametrize("content", [b"", bytes(1000), b"II*\0" + bytes(99), b"hello = world"])
def test_mislabelled(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert_refused(tmp_path / name, "")


def test_one_plane_of_a_huge_file_costs_little(tmp_path: Path) -> None:
    path = tmp_path / "a.mha"
    head = META.replace("2 3 4", "1000 1000 2000") + "\n"
    with path.open("wb") as file:
        file.write(head.encode())
        file.truncate(len(head) + 4_000_000_000)
        file.seek(len(head) + 1999 * 2_000_000 + 34)
        file.write(b"\x2a")
    tracemalloc.start()
    plane = read(path).data[0, 0, 1999].compute(scheduler="synchronous")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert plane[0, 17] == 42
    assert peak < 30e6


@pytest.mark.parametrize("method", ["zlib", "bzip2"])
def test_a_compressed_stream_is_read_in_any_order(
    tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inflate, "_STEP_BYTES", 2**17)
    monkeypatch.setattr(inflate, "_CHECK_ALL_BYTES", 0)
    content = np.random.default_rng(1).integers(0, 9, 2**20, dtype=np.uint8).tobytes()
    packed = zlib.compress(content, 1) if method == "zlib" else bz2.compress(content)
    path = tmp_path / "a"
    path.write_bytes(b"head" + packed)
    stream = InflatedBytes(path, 4, method, len(content))  # type: ignore[arg-type]
    rng = np.random.default_rng(2)
    for start in [0, len(content) - 10, *rng.integers(0, len(content) - 5000, 8).tolist()]:
        count = min(5000, len(content) - start)
        assert stream.read(start, count) == content[start : start + count]
    again = pickle.loads(pickle.dumps(stream))
    assert again.read(77, 10) == content[77:87]
    path.write_bytes(b"head" + packed[:-50])
    cut = pickle.loads(pickle.dumps(stream))
    with pytest.raises(ReadError, match="cut short"):
        cut.read(len(content) - 10, 10)


def test_gzip_in_several_members(tmp_path: Path) -> None:
    raw = pixels(np.int16, (4, 3, 2)).tobytes()
    fields = _small().replace("raw", "gzip") + f"\nspace: RAS\n{DIRECTIONS}"
    packed = gzip.compress(raw[:20]) + gzip.compress(raw[20:])
    image = read(_nrrd(tmp_path / "a.nrrd", fields, packed))
    assert image.data.compute().tobytes() == raw


def test_threads_share_a_stream(tmp_path: Path) -> None:
    array = pixels(np.uint16, (60, 64, 64))
    sitk.WriteImage(make(array), tmp_path / "a.nrrd", True)
    data = read(tmp_path / "a.nrrd").data
    planes = da.concatenate([data[:, :, n : n + 1] for n in range(59, -1, -1)], axis=2)
    assert_array_equal(planes.compute(scheduler="threads")[0, 0], array[::-1])
