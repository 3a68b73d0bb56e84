"""MCD files against readimc, and every pixel where it was ablated."""

from __future__ import annotations

import itertools
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import readimc
from imc_files import (
    Region,
    element,
    picture_bytes,
    rectangle,
    rgba,
    textured,
    write_mcd,
)

from napari_bridgecorr.errors import ReadError
from napari_bridgecorr.image import SpatialImage
from napari_bridgecorr.io.mcd import McdReader, pixels
from napari_bridgecorr.io.mcd.schema import read_contents


def read(path: Path) -> tuple[SpatialImage, ...]:
    return McdReader().read(path)


def stored(image: SpatialImage) -> np.ndarray:
    """(channels, rows, columns) with the first line first, as readimc gives them."""
    return np.asarray(image.data)[0, :, 0, ::-1]


def ablated_um(image: SpatialImage, row: float, column: float) -> np.ndarray:
    """Slide (x, y) of a pixel's centre, rows counted from the first line."""
    index = (0, image.grid.shape[1] - 1 - row, column)
    return image.grid.to_world(index)[0, [2, 1]]


@pytest.fixture
def rich(tmp_path: Path) -> Path:
    """Two regions, one of them turned and photographed, a panorama and a slide."""
    return write_mcd(
        tmp_path / "rich.mcd",
        [
            Region(1, textured((3, 12, 20)), rectangle(31000, 13000, 20, 12)),
            Region(
                2,
                textured((3, 7, 5), 1),
                rectangle(31100, 12900, 5, 7, turned=0.4),
                before=picture_bytes(rgba(14, 10, 2)),
                after=picture_bytes(rgba(14, 10, 3)[..., :3], "BMP"),
            ),
        ],
        [(picture_bytes(rgba(40, 50, 4)), rectangle(30990, 13010, 100, 80))],
        picture_bytes(rgba(25, 75, 5)),
    )


REAL = ["20210305_NE_mockData1.mcd", "20210305_NE_mockData2.mcd"]


@pytest.mark.parametrize("name", REAL)
def test_real_files_hold_what_readimc_finds(real_data: Path, name: str) -> None:
    path = real_data / "mcd" / name
    images = read(path)
    assert [image.source.role for image in images] == ["image"] * 3 + ["panorama", "slide preview"]
    assert [image.source.image_index for image in images] == list(range(5))
    with readimc.MCDFile(path) as file:
        (slide,) = file.slides
        for image, acquisition in zip(images, slide.acquisitions, strict=False):
            assert image.name == acquisition.description
            assert [c.name for c in image.channels] == acquisition.channel_labels
            assert [c.metal for c in image.channels] == acquisition.channel_names
            np.testing.assert_array_equal(stored(image), file.read_acquisition(acquisition))
            corners = np.array(acquisition.roi_points_um)
            outer = image.grid.corners()[:, [2, 1]]
            np.testing.assert_allclose(outer.min(axis=0), corners.min(axis=0), atol=1e-9)
            np.testing.assert_allclose(outer.max(axis=0), corners.max(axis=0), atol=1e-9)
            np.testing.assert_allclose(ablated_um(image, -0.5, -0.5), corners[0], atol=1e-9)
            # y grows with the row
            assert image.grid.index_to_world[1, 1] == 1
            assert image.voxel_size_known == (False, True, True)
            assert image.warnings == ()
        for image, picture in (
            (images[3], file.read_panorama(slide.panoramas[0])),
            (images[4], file.read_slide(slide)),
        ):
            np.testing.assert_array_equal(stored(image).transpose(1, 2, 0), picture)


@pytest.mark.parametrize("name", REAL)
def test_a_real_acquisition_lies_on_the_panorama_where_it_was_ablated(
    real_data: Path, name: str
) -> None:
    """The tissue is dark in the panorama and rich in counts; a flip or a shift would part them."""
    images = read(real_data / "mcd" / name)
    region, panorama = images[0], images[3]
    counts = np.log1p(np.asarray(region.data)[0, :, 0].sum(axis=0))
    grey = np.asarray(panorama.data)[0, :3, 0].mean(axis=0)
    _, rows, columns = region.grid.shape
    index = np.stack(np.meshgrid([0], range(rows), range(columns), indexing="ij"), axis=-1)

    def likeness(shift_um: tuple[float, float], *, flipped: bool) -> float:
        points = region.grid.to_world(index.reshape(-1, 3)) + np.array([0.0, *shift_um])
        there = np.rint(panorama.grid.to_index(points)).astype(int)
        darkness = -grey[there[:, 1], there[:, 2]]
        seen = counts[::-1] if flipped else counts
        return float(np.corrcoef(darkness, seen.ravel())[0, 1])

    shifts = list(itertools.product(range(-12, 13, 2), repeat=2))
    best = max(shifts, key=lambda shift: likeness(shift, flipped=False))
    assert np.hypot(*best) <= 2
    assert likeness(best, flipped=False) > 0.1 + max(likeness(s, flipped=True) for s in shifts)


def test_every_part_and_its_pixels(rich: Path) -> None:
    images = read(rich)
    assert [(image.name, image.source.role) for image in images] == [
        ("ROI_001", "image"),
        ("ROI_002", "image"),
        ("Panorama_001", "panorama"),
        ("ROI_002 before ablation", "optical"),
        ("ROI_002 after ablation", "optical"),
        ("Slide", "slide preview"),
    ]
    with readimc.MCDFile(rich) as file:
        (slide,) = file.slides
        for image, acquisition in zip(images, slide.acquisitions, strict=False):
            np.testing.assert_array_equal(stored(image), file.read_acquisition(acquisition))
        second = slide.acquisitions[1]
        for image, picture in (
            (images[2], file.read_panorama(slide.panoramas[0])),
            (images[3], file.read_before_ablation_image(second)),
            (images[4], file.read_after_ablation_image(second)),
            (images[5], file.read_slide(slide)),
        ):
            np.testing.assert_array_equal(stored(image).transpose(1, 2, 0), picture)
    assert [c.name for c in images[4].channels] == ["R", "G", "B"]
    names = [(c.name, c.metal) for c in images[0].channels]
    assert names == [("DNA1", "Ir191"), ("H3K27Ac", "Yb172"), ("Pr141", "Pr141")]


def test_a_turned_region_follows_its_corners(rich: Path) -> None:
    region = read(rich)[1]
    corners = np.array(rectangle(31100, 12900, 5, 7, turned=0.4))
    rows, columns = region.grid.shape[1:]
    ends = [(-0.5, -0.5), (-0.5, columns - 0.5), (rows - 0.5, columns - 0.5), (rows - 0.5, -0.5)]
    for corner, (row, column) in zip(corners, ends, strict=True):
        np.testing.assert_allclose(ablated_um(region, row, column), corner, atol=1e-9)
    np.testing.assert_allclose(region.grid.voxel_size_um, 1.0)


def test_panorama_slide_and_photograph_fill_their_corners(rich: Path) -> None:
    images = read(rich)
    panorama, before, slide = images[2], images[3], images[5]
    np.testing.assert_allclose(panorama.grid.voxel_size_um, (1, 2, 2))
    np.testing.assert_allclose(ablated_um(panorama, -0.5, -0.5), (30990, 13010))
    np.testing.assert_allclose(ablated_um(panorama, 39.5, 49.5), (31090, 12930))
    np.testing.assert_allclose(ablated_um(slide, -0.5, -0.5), (0, 25000), atol=1e-9)
    np.testing.assert_allclose(ablated_um(slide, 24.5, 74.5), (75000, 0), atol=1e-9)
    region = images[1]
    for edge in ((0, 0), (0, 1), (1, 0), (1, 1)):
        inner = np.array(edge) * region.grid.shape[1:] - 0.5
        outer = np.array(edge) * before.grid.shape[1:] - 0.5
        np.testing.assert_allclose(ablated_um(before, *outer), ablated_um(region, *inner))
    assert before.voxel_size_known == (False, False, False)
    assert "laid over ROI_002" in before.warnings[0]


def test_shot_distance_is_the_pixel_size(tmp_path: Path) -> None:
    fields = {"AblationDistanceBetweenShotsX": 0.5, "AblationDistanceBetweenShotsY": 2}
    region = Region(1, textured((3, 6, 8)), rectangle(100, 200, 4, 12), fields=fields)
    (image,) = read(write_mcd(tmp_path / "a.mcd", [region]))
    np.testing.assert_allclose(image.grid.voxel_size_um, (1, 2, 0.5))
    np.testing.assert_allclose(ablated_um(image, 0, 0), (100.25, 199))


@pytest.mark.parametrize("factor", [1, 1000])
def test_without_corners_the_stage_tells_the_place(tmp_path: Path, factor: int) -> None:
    """As in the real files: the end is not the opposite corner, and the start may be x 1000."""
    fields = {
        "ROIStartXPosUm": 31080 * factor,
        "ROIStartYPosUm": 13449 * factor,
        "ROIEndXPosUm": 31140.501,
        "ROIEndYPosUm": 13390.28,
    }
    region = Region(1, textured((3, 60, 60)), None, fields=fields)
    (image,) = read(write_mcd(tmp_path / "a.mcd", [region]))
    np.testing.assert_allclose(ablated_um(image, -0.5, -0.5), (31080, 13449))
    np.testing.assert_allclose(ablated_um(image, 59.5, 59.5), (31140, 13389))
    assert "stage" in image.warnings[0]


def test_a_turned_stage_path_is_a_turned_region(tmp_path: Path) -> None:
    turn = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    end = np.array([500, 900]) + turn @ (60.5, -39)
    fields = {"ROIStartXPosUm": 500, "ROIStartYPosUm": 900}
    fields |= {"ROIEndXPosUm": end[0], "ROIEndYPosUm": end[1]}
    region = Region(1, textured((3, 40, 60)), None, fields=fields)
    (image,) = read(write_mcd(tmp_path / "a.mcd", [region]))
    corner = np.array([500, 900]) + turn @ (60, 0)
    np.testing.assert_allclose(ablated_um(image, -0.5, 59.5), corner, atol=1e-6)


def test_no_place_and_no_pixel_size_are_told(tmp_path: Path) -> None:
    fields = {"AblationDistanceBetweenShotsX": 0, "AblationDistanceBetweenShotsY": 0}
    region = Region(1, textured((3, 6, 8)), None, fields=fields)
    (image,) = read(write_mcd(tmp_path / "a.mcd", [region]))
    assert image.voxel_size_known == (False, False, False)
    assert "no voxel size" in image.warnings[0]
    assert "where on the slide" in image.warnings[1]


def test_a_region_that_does_not_fit_is_told(tmp_path: Path) -> None:
    region = Region(1, textured((3, 60, 80)), rectangle(100, 200, 80, 90))
    (image,) = read(write_mcd(tmp_path / "a.mcd", [region]))
    np.testing.assert_allclose(ablated_um(image, -0.5, -0.5), (100, 200))
    assert "80 x 90 um" in image.warnings[0]


@pytest.mark.parametrize("piece_bytes", [100, 2**20])
@pytest.mark.parametrize("chunk_bytes", [200, 2**20])
def test_blocks_change_nothing(rich: Path, monkeypatch, piece_bytes, chunk_bytes) -> None:
    monkeypatch.setattr(pixels, "_PIECE_BYTES", piece_bytes)
    monkeypatch.setattr(pixels, "_CHUNK_BYTES", chunk_bytes)
    image = read(rich)[0]
    expected = textured((3, 12, 20))
    np.testing.assert_array_equal(stored(image), expected)
    part = np.asarray(image.data[0, 1:, 0, 3:9, 5:17])
    np.testing.assert_array_equal(part, expected[1:, ::-1][:, 3:9, 5:17])
    box = image.read(0, (0, 2, 0, 11, 19), (1, 3, 1, 12, 20))
    assert box.item() == expected[2, 0, 19]


@pytest.mark.parametrize("piece_bytes", [100, 2**20])
def test_pixels_out_of_order_go_where_they_say(tmp_path, monkeypatch, piece_bytes) -> None:
    monkeypatch.setattr(pixels, "_PIECE_BYTES", piece_bytes)
    order = np.random.default_rng(3).permutation(12 * 9)
    region = Region(1, textured((3, 12, 9)), rectangle(0, 100, 9, 12), order=order)
    path = write_mcd(tmp_path / "a.mcd", [region])
    (image,) = read(path)
    np.testing.assert_array_equal(stored(image), region.pixels)
    np.testing.assert_array_equal(np.asarray(image.data[0, 1, 0, 5]), region.pixels[1, 6])


@pytest.mark.parametrize("order", [None, np.random.default_rng(5).permutation(108)])
def test_a_stopped_acquisition_is_told(tmp_path: Path, order) -> None:
    region = Region(1, textured((3, 12, 9)), rectangle(0, 100, 9, 12), n_stored=50, order=order)
    path = write_mcd(tmp_path / "a.mcd", [region])
    (image,) = read(path)
    with readimc.MCDFile(path) as file:
        expected = file.read_acquisition(file.slides[0].acquisitions[0])
    np.testing.assert_array_equal(stored(image), expected)
    assert "stopped after 50 of 108 pixels" in image.warnings[0]


def test_an_empty_acquisition_is_listed_and_told(tmp_path: Path) -> None:
    regions = [
        Region(1, textured((3, 4, 5)), rectangle(0, 100, 5, 4)),
        Region(2, textured((3, 4, 5)), rectangle(50, 100, 5, 4), n_stored=0),
        Region(3, textured((3, 0, 0))),
    ]
    images = read(write_mcd(tmp_path / "a.mcd", regions))
    assert [image.name for image in images] == ["ROI_001", "ROI_002"]
    assert not stored(images[1]).any()
    assert "ROI_002 is empty" in images[1].warnings[0]
    assert all("ROI_003 is left out: it is empty" in i.warnings[-1] for i in images)


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"DataEndOffset": 10**12}, "outside the file"),
        ({"DataStartOffset": 10**12, "DataEndOffset": 10**13}, "outside the file"),
        ({"MaxX": 10**6, "MaxY": 10**6}, "makes no sense"),
        ({"MaxX": 10**12, "MaxY": 1}, "makes no sense"),
        ({"MaxX": "wide"}, "does not say where"),
        ({"ValueBytes": 8}, "4-byte"),
        ({"SegmentDataFormat": "Short"}, "4-byte"),
    ],
)
def test_a_lying_acquisition_is_left_out(tmp_path: Path, fields: dict, fault: str) -> None:
    good = Region(1, textured((3, 4, 5)), rectangle(0, 100, 5, 4))
    bad = Region(2, textured((3, 4, 5), 1), rectangle(50, 100, 5, 4), fields=fields)
    (image,) = read(write_mcd(tmp_path / "a.mcd", [good, bad]))
    assert image.name == "ROI_001"
    assert "ROI_002 is left out" in image.warnings[0]
    assert fault in image.warnings[0]
    with pytest.raises(ReadError, match=fault):
        read(write_mcd(tmp_path / "b.mcd", [bad]))


def test_a_position_outside_is_damage_not_a_crash(tmp_path: Path) -> None:
    region = Region(1, textured((3, 4, 5)), rectangle(0, 100, 5, 4))
    path = write_mcd(tmp_path / "a.mcd", [region])
    (image,) = read(path)
    content = bytearray(path.read_bytes())
    content[166 : 166 + 4] = np.float32(1e9).tobytes()
    path.write_bytes(bytes(content))
    with pytest.raises(ReadError, match="a pixel lies at column 1e"):
        image.data.compute()


def test_a_doubled_pixel_leaves_no_silent_zero(tmp_path: Path) -> None:
    order = np.arange(20)
    order[7] = 8
    region = Region(1, textured((3, 4, 5)), rectangle(0, 100, 5, 4), order=order)
    (image,) = read(write_mcd(tmp_path / "a.mcd", [region]))
    with pytest.raises(ReadError, match="column 2, row 1 is missing"):
        image.data.compute()


def test_regions_that_share_bytes_are_told(tmp_path: Path) -> None:
    regions = [Region(n, textured((3, 4, 5)), rectangle(0, 100, 5, 4)) for n in (1, 2)]
    regions[1].fields = {"DataStartOffset": 166, "DataEndOffset": 166 + 20 * 24}
    images = read(write_mcd(tmp_path / "a.mcd", regions))
    assert all("ROI_001 and ROI_002 claim the same part" in i.warnings[-1] for i in images)


def test_a_bad_picture_is_left_out(tmp_path: Path) -> None:
    good = Region(1, textured((3, 4, 5)), rectangle(0, 100, 5, 4))
    huge = bytearray(picture_bytes(rgba(4, 4)))
    huge[16:24] = (60000).to_bytes(4, "big") * 2
    huge[29:33] = zlib.crc32(huge[12:29]).to_bytes(4, "big")
    corners = rectangle(0, 100, 50, 40)
    panoramas = [(bytes(huge), corners), (b"no picture", corners)]
    images = read(write_mcd(tmp_path / "a.mcd", [good], panoramas))
    assert [image.name for image in images] == ["ROI_001"]
    assert "Panorama_001 is left out: it claims 60000 x 60000" in images[0].warnings[0]
    assert "Panorama_002 is left out: it is neither" in images[0].warnings[1]


def test_a_cut_picture_is_an_error_not_grey(tmp_path: Path) -> None:
    whole = picture_bytes(rgba(64, 64))
    corners = rectangle(0, 100, 50, 40)
    region = Region(1, textured((3, 4, 5)), rectangle(0, 100, 5, 4))
    path = write_mcd(tmp_path / "a.mcd", [region], [(whole[: len(whole) // 2], corners)])
    panorama = read(path)[1]
    with pytest.raises(ReadError, match="the picture Panorama_001 cannot be read"):
        panorama.data.compute()


def test_a_panorama_without_a_place_is_told(tmp_path: Path) -> None:
    region = Region(1, textured((3, 4, 5)), rectangle(0, 100, 5, 4))
    flat = [(0, 0), (75000, 0), (0, 0), (0, 0)]
    images = read(write_mcd(tmp_path / "a.mcd", [region], [(picture_bytes(rgba(4, 6)), flat)]))
    assert images[1].voxel_size_known == (False, False, False)
    assert "where on the slide" in images[1].warnings[0]


@pytest.mark.parametrize(
    ("xml", "fault"),
    [
        ("<a>" * 100, "nested too deeply"),
        ("<Slide><ID>" + "1" * 90000, "too long"),
        ("<Slide><ID>&bomb;</ID></Slide>", "no XML"),
        ("</MCDSchema", "no XML"),
    ],
)
def test_hostile_descriptions_are_refused(tmp_path: Path, xml: str, fault: str) -> None:
    region = Region(1, textured((3, 4, 5)), rectangle(0, 100, 5, 4))
    with pytest.raises(ReadError, match=fault):
        read(write_mcd(tmp_path / "a.mcd", [region], extra_xml=xml))


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "empty"),
        (b"\0" * 5000, "description at its end is missing"),
        (b"II*\0" + b"\0" * 600, "TIFF"),
        ("<MCDSchema><Slide>".encode("utf-16-le"), "cut short"),
        ("<MCDSchema></MCDSchema>".encode("utf-16-le"), "holds nothing"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, fault: str) -> None:
    path = tmp_path / "a.mcd"
    path.write_bytes(content)
    with pytest.raises(ReadError, match=fault):
        read(path)


def test_the_last_description_counts(tmp_path: Path) -> None:
    """The first version of the format appended a new one each time."""
    old = Region(1, textured((3, 4, 5)), rectangle(0, 100, 5, 4))
    path = write_mcd(tmp_path / "a.mcd", [old])
    stale = "<MCDSchema><Slide><ID>0</ID></Slide></MCDSchema>".encode("utf-16-le")
    content = path.read_bytes()
    at = content.rfind("<MCDSchema".encode("utf-16-le"))
    path.write_bytes(content[:at] + stale + content[at:])
    (image,) = read(path)
    np.testing.assert_array_equal(stored(image), old.pixels)


def test_thousands_of_regions_are_the_same_as_readimc_finds(tmp_path: Path) -> None:
    """At 150 regions readimc still answers within the second; we must at 2,000."""
    channels = [("Ir", 100 + i, f"marker {i}") for i in range(10)]

    def many(n: int) -> list[Region]:
        value = textured((10, 1, 2))
        return [
            Region(i, value, rectangle(10 * i, 9, 2, 1), channels=channels) for i in range(1, n + 1)
        ]

    path = write_mcd(tmp_path / "few.mcd", many(150))
    ours = read_contents(path)
    with readimc.MCDFile(path) as file:
        (slide,) = file.slides
    for mine, theirs in zip(ours.acquisitions, slide.acquisitions, strict=True):
        assert (mine.number, mine.fields) == (theirs.id, theirs.metadata)
        assert mine.corners_um == theirs.roi_points_um
        assert [c.metal for c in mine.channels] == theirs.channel_names
        assert [c.label for c in mine.channels] == theirs.channel_labels
    images = read(write_mcd(tmp_path / "many.mcd", many(2000)))
    assert len(images) == 2000


def test_an_orphan_acquisition_is_listed(tmp_path: Path) -> None:
    region = Region(1, textured((3, 4, 5)), None, fields={"AcquisitionROIID": 77})
    (image,) = read(write_mcd(tmp_path / "a.mcd", [region]))
    np.testing.assert_array_equal(stored(image), region.pixels)


def test_several_slides(tmp_path: Path) -> None:
    second = element("Slide", ID=5, Description="other") + element(
        "Panorama", ID=50, SlideID=5, Type="Default"
    )
    second += element("AcquisitionROI", ID=9, PanoramaID=50)
    regions = [
        Region(2, textured((3, 4, 5)), rectangle(0, 100, 5, 4), fields={"AcquisitionROIID": 9}),
        Region(3, textured((3, 4, 5), 1), rectangle(0, 100, 5, 4)),
    ]
    images = read(write_mcd(tmp_path / "a.mcd", regions, extra_xml=second))
    assert [(i.metadata["slide_id"], i.name) for i in images] == [(0, "ROI_003"), (5, "ROI_002")]


def test_claims() -> None:
    assert McdReader().claim(Path("A.MCD")).accepted
    assert not McdReader().claim(Path("a.czi")).accepted


def test_no_warning_leaves_python(rich: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for image in read(rich):
            image.data.compute()
