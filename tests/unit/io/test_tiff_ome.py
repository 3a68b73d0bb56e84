"""OME-TIFF: dimension orders, sets of files, places, plates, and documents that do not fit."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.testing import assert_allclose, assert_array_equal

from napari_bridgecorr.errors import ReadError
from napari_bridgecorr.image import SpatialImage
from napari_bridgecorr.io.tiff import TiffReader

READER = TiffReader()
RNG = np.random.default_rng(8)
NAMESPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
ORDERS = ["XY" + "".join(rest) for rest in itertools.permutations("ZCT")]


def noise(*shape: int, dtype: Any = np.uint16) -> np.ndarray:
    return (1 + RNG.random(shape) * 240).astype(dtype)


def document(
    *,
    order: str = "XYZCT",
    t: int = 1,
    c: int = 1,
    z: int = 1,
    size: tuple[int, int] = (20, 30),
    attributes: str = 'PhysicalSizeX="0.5" PhysicalSizeY="0.25" PhysicalSizeZ="2"',
    inside: str = "",
    beside: str = "",
    uuid: str = "urn:uuid:0",
    dtype: str = "uint16",
) -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="{NAMESPACE}" UUID="{uuid}">'
        f'<Image ID="Image:0" Name="thing"><Pixels ID="Pixels:0" DimensionOrder="{order}" '
        f'Type="{dtype}" SizeX="{size[1]}" SizeY="{size[0]}" SizeC="{c}" SizeZ="{z}" SizeT="{t}" '
        f"{attributes}>{inside}</Pixels></Image>{beside}</OME>"
    )


def write(path: Path, planes: np.ndarray, xml: str, **options: Any) -> None:
    values: dict[str, Any] = {"photometric": "minisblack", "metadata": None, **options}
    tifffile.imwrite(path, planes, description=xml.encode(), **values)


def read(path: Path) -> SpatialImage:
    (image,) = READER.read(path)
    return image


def piece(name: str, number: int, first: str, pages: str = 'IFD="0" PlaneCount="1"') -> str:
    return f'<TiffData {first} {pages}><UUID FileName="{name}">urn:uuid:{number}</UUID></TiffData>'


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_every_order_of_dimensions(tmp_path: Path, order: str, byteorder: str) -> None:
    sizes = {"T": 2, "C": 3, "Z": 4}
    stored = noise(*(sizes[axis] for axis in reversed(order[2:])), 20, 30)
    path = tmp_path / "a.ome.tif"
    xml = document(order=order, t=2, c=3, z=4, inside='<TiffData IFD="0" PlaneCount="24"/>')
    write(path, stored.reshape(24, 20, 30), xml, byteorder=byteorder)
    image = read(path)
    axes = [list(reversed(order[2:])).index(axis) for axis in "TCZ"]
    want = stored.transpose(*axes, 3, 4)
    assert_array_equal(image.data.compute(), want)
    with tifffile.TiffFile(path) as tif:
        other = tif.series[0]
        assert_array_equal(
            np.moveaxis(other.asarray(), [other.axes.index(a) for a in "TCZ"], [0, 1, 2]), want
        )
    assert image.grid.voxel_size_um == (2, 0.25, 0.5)
    assert image.warnings == ()


def test_blocks_run_on_in_the_order_of_dimensions(tmp_path: Path) -> None:
    planes = noise(6, 20, 30)
    inside = (
        '<TiffData FirstC="1" FirstZ="1" IFD="0" PlaneCount="2"/>'
        '<TiffData FirstZ="0" IFD="2" PlaneCount="4"/>'
    )
    write(tmp_path / "a.ome.tif", planes, document(c=2, z=3, inside=inside))
    # z runs fastest: (c1 z1), (c1 z2), then (c0 z0) ... (c1 z0)
    want = np.stack([planes[2:5], planes[[5, 0, 1]]])
    assert_array_equal(read(tmp_path / "a.ome.tif").data[0].compute(), want)


@pytest.mark.parametrize("n_planes", ['IFD="0" PlaneCount="2"', ""])
def test_a_set_of_files(tmp_path: Path, n_planes: str) -> None:
    planes = noise(3, 2, 20, 30)
    inside = "".join(piece(f"c{i}.ome.tif", i, f'FirstC="{i}"', n_planes) for i in range(3))
    for i in range(3):
        xml = document(c=3, z=2, inside=inside, uuid=f"urn:uuid:{i}")
        write(tmp_path / f"c{i}.ome.tif", planes[i], xml, compression=["zlib", None, "lzw"][i])
    for name in ("c0.ome.tif", "c2.ome.tif", ""):
        image = read(tmp_path / name)
        assert_array_equal(image.data[0].compute(), planes)
        assert image.source.path == tmp_path / name
        assert image.warnings == ()
    assert_array_equal(tifffile.imread(tmp_path / "c1.ome.tif"), planes)


def test_a_companion_file_describes_the_set(tmp_path: Path) -> None:
    planes = noise(2, 20, 30)
    inside = "".join(piece(f"z{i}.tif", i, f'FirstZ="{i}"') for i in range(2))
    (tmp_path / "set.companion.ome").write_text(document(z=2, inside=inside, uuid="urn:uuid:9"))
    for i in range(2):
        xml = (
            f'<?xml version="1.0"?><OME xmlns="{NAMESPACE}" UUID="urn:uuid:{i}">'
            f'<BinaryOnly MetadataFile="set.companion.ome" UUID="urn:uuid:9"/></OME>'
        )
        write(tmp_path / f"z{i}.tif", planes[i], xml)
    for name in ("set.companion.ome", "z0.tif", "z1.tif", ""):
        assert READER.claim(tmp_path / name).accepted
        image = read(tmp_path / name)
        assert_array_equal(image.data[0, 0].compute(), planes)
        assert image.grid.voxel_size_um == (2, 0.25, 0.5)
    (tmp_path / "set.companion.ome").unlink()
    image = read(tmp_path / "z0.tif")
    assert "set.companion.ome, which is missing" in image.warnings[0]
    assert_array_equal(image.data[0, 0, 0].compute(), planes[0])


def test_what_a_missing_file_held_is_refused_and_told(tmp_path: Path) -> None:
    planes = noise(3, 20, 30)
    inside = "".join(piece(f"c{i}.ome.tif", i, f'FirstC="{i}"') for i in range(3))
    for i in range(3):
        write(
            tmp_path / f"c{i}.ome.tif",
            planes[i],
            document(c=3, inside=inside, uuid=f"urn:uuid:{i}"),
        )
    (tmp_path / "c1.ome.tif").unlink()
    image = read(tmp_path / "c0.ome.tif")
    assert image.warnings == (
        "1 of 3 planes are in no file (c1.ome.tif is missing): they cannot be read",
    )
    assert_array_equal(image.data[0, [0, 2], 0].compute(), planes[[0, 2]])
    with pytest.raises(ReadError, match=r"lacks plane 1 \(c1\.ome\.tif is missing\)"):
        image.data[0, 1].compute(scheduler="synchronous")


def test_an_interrupted_experiment_shows_its_whole_times(tmp_path: Path) -> None:
    planes = noise(5, 20, 30)
    xml = document(t=100, z=2, inside='<TiffData IFD="0" PlaneCount="200"/>')
    write(tmp_path / "a.ome.tif", planes, xml)
    image = read(tmp_path / "a.ome.tif")
    assert image.data.shape == (2, 1, 2, 20, 30)
    assert_array_equal(image.data[:, 0].compute(), planes[:4].reshape(2, 2, 20, 30))
    assert image.warnings == (
        "2 of 100 times are shown: the others are not complete (a.ome.tif has only 5 pages)",
    )


@pytest.mark.parametrize("name", ["../out.ome.tif", "{}/out.ome.tif", "x/../../out.ome.tif"])
def test_no_file_outside_the_folder_is_opened(tmp_path: Path, name: str) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    write(tmp_path / "out.ome.tif", noise(20, 30), document())
    inside = piece("in.ome.tif", 0, 'FirstZ="0"') + piece(name.format(tmp_path), 5, 'FirstZ="1"')
    write(inner / "in.ome.tif", noise(20, 30), document(z=2, inside=inside))
    image = read(inner / "in.ome.tif")
    assert "is not in the same folder" in image.warnings[0]
    with pytest.raises(ReadError):
        image.data[0, 0, 1].compute(scheduler="synchronous")


def test_a_renamed_file_is_still_itself(tmp_path: Path) -> None:
    planes = noise(2, 20, 30)
    inside = piece("old.ome.tif", 7, 'FirstZ="0"', 'IFD="0" PlaneCount="2"')
    write(tmp_path / "new.ome.tif", planes, document(z=2, inside=inside, uuid=""))
    image = read(tmp_path / "new.ome.tif")
    assert_array_equal(image.data[0, 0].compute(), planes)
    assert image.warnings == ()


@pytest.mark.parametrize(
    ("xml", "words"),
    [
        (document(size=(21, 30)), "21 x 30 pixels"),
        (document().replace("</OME>", ""), "damaged"),
        (document(order="XYZ"), "dimension order"),
        (document(c=0), "SizeC"),
        (document(t=10**9, inside='<TiffData IFD="0"/>' + piece("x", 1, 'FirstT="1"')), ""),
        ('<!DOCTYPE a [<!ENTITY b "c">]>' + document(), "entities"),
    ],
)
def test_a_document_that_does_not_fit_is_not_believed(tmp_path: Path, xml: str, words: str) -> None:
    plane = noise(20, 30)
    write(tmp_path / "a.ome.tif", plane, xml)
    if words == "entities":
        with pytest.raises(ReadError, match="entities"):
            READER.read(tmp_path / "a.ome.tif")
        return
    image = read(tmp_path / "a.ome.tif")
    assert words in image.warnings[0]
    assert_array_equal(image.data[0, 0, 0].compute(), plane)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_colours_are_channels(tmp_path: Path, planar: str) -> None:
    pixels = noise(2, 20, 30, 3, dtype=np.uint8)
    stored = pixels if planar == "contig" else pixels.transpose(0, 3, 1, 2)
    xml = document(
        z=2,
        c=3,
        dtype="uint8",
        inside='<Channel ID="Channel:0:0" SamplesPerPixel="3"/><TiffData PlaneCount="2"/>',
    )
    write(tmp_path / "a.ome.tif", stored, xml, photometric="rgb", planarconfig=planar)
    image = read(tmp_path / "a.ome.tif")
    assert [channel.name for channel in image.channels] == ["R", "G", "B"]
    assert_array_equal(image.data[0].compute(), pixels.transpose(3, 0, 1, 2))


UNITS = {"µm": 1, "mm": 1e3, "nm": 1e-3, "Å": 1e-4, "in": 25400, "m": 1e6, "cm": 1e4, "pm": 1e-6}


@pytest.mark.parametrize("unit", [*UNITS, "pixel", "reference frame", "furlong"])
def test_units(tmp_path: Path, unit: str) -> None:
    attributes = " ".join(
        f'PhysicalSize{axis}="2.5" PhysicalSize{axis}Unit="{unit}"' for axis in "XYZ"
    )
    write(tmp_path / "a.ome.tif", noise(3, 20, 30), document(z=3, attributes=attributes))
    # a document without TiffData has its planes in order
    image = read(tmp_path / "a.ome.tif")
    if unit in UNITS and 1e-5 <= 2.5 * UNITS[unit] <= 1e5:
        assert_allclose(image.grid.voxel_size_um, [2.5 * UNITS[unit]] * 3)
    else:
        assert image.voxel_size_known == (False, False, False)
        assert image.warnings[0].startswith("no voxel size along z, y, x")


def planes_at(places: list[tuple[float, float, float]], unit: str) -> str:
    return '<TiffData PlaneCount="3"/>' + "".join(
        f'<Plane TheC="0" TheT="0" TheZ="{z}" '
        + " ".join(
            f'Position{axis}="{p}" Position{axis}Unit="{unit}"'
            for axis, p in zip("ZYX", place, strict=True)
        )
        + "/>"
        for z, place in enumerate(places)
    )


def test_stage_positions_are_the_first_voxels_place(tmp_path: Path) -> None:
    steady = [(5.0 + 2 * z, -100.0, 2e4) for z in range(3)]
    moving = [(5.0, -100.0 + 50 * z, 2e4) for z in range(3)]
    for places, unit, origin in (
        (steady, "µm", (5, -100, 2e4)),
        (steady, "mm", (5e3, -1e5, 2e7)),
        (steady, "reference frame", (0, 0, 0)),
        (moving, "µm", (0, 0, 2e4)),
        ([(5.0 - 2 * z, 1.0, 1.0) for z in range(3)], "µm", (0, 1, 1)),
    ):
        write(
            tmp_path / "a.ome.tif", noise(3, 20, 30), document(z=3, inside=planes_at(places, unit))
        )
        image = read(tmp_path / "a.ome.tif")
        assert_allclose(image.grid.index_to_world[:3, 3], origin)


def test_planes_positions_give_a_missing_step(tmp_path: Path) -> None:
    inside = planes_at([(5.0 + 1.5 * z, 0, 0) for z in range(3)], "µm")
    attributes = 'PhysicalSizeX="0.5" PhysicalSizeY="0.5"'
    write(
        tmp_path / "a.ome.tif",
        noise(3, 20, 30),
        document(z=3, attributes=attributes, inside=inside),
    )
    image = read(tmp_path / "a.ome.tif")
    assert image.grid.voxel_size_um == (1.5, 0.5, 0.5)
    assert image.warnings == ()


def test_channels_times_and_wells(tmp_path: Path) -> None:
    inside = (
        '<Channel ID="Channel:0:0" Name="DAPI" Color="65535" ExcitationWavelength="405" '
        'EmissionWavelength="0.45" EmissionWavelengthUnit="µm"/>'
        '<Channel ID="Channel:0:1" Fluor="GFP" Color="-16776961"/>'
        '<TiffData PlaneCount="4"/>'
        + "".join(
            f'<Plane TheC="0" TheT="{t}" TheZ="0" DeltaT="{1500 * t}" DeltaTUnit="ms"/>'
            for t in (0, 1)
        )
    )
    beside = (
        '<Plate ID="Plate:0" Name="P"><Well ID="Well:0" Row="27" Column="4">'
        '<WellSample ID="W:0" Index="0"><ImageRef ID="Image:0"/></WellSample></Well></Plate>'
    )
    xml = document(c=2, t=2, inside=inside, beside=beside)
    write(tmp_path / "a.ome.tif", noise(4, 20, 30), xml)
    image = read(tmp_path / "a.ome.tif")
    blue, green = image.channels
    assert (blue.name, blue.colour, blue.excitation_nm) == ("DAPI", "#0000FF", 405)
    assert blue.emission_nm == pytest.approx(450)
    assert (green.name, green.colour) == ("GFP", "#FF0000")
    assert image.time_step_s == 1.5
    assert image.metadata["well"] == "AB5"
    assert image.metadata["plate"] == "P"


def test_levels_that_were_decimated_lie_on_the_first_pixel(tmp_path: Path) -> None:
    """Grids are measured: a blob must lie at one place in the world at every level."""
    y, x = np.mgrid[:256, :320]
    blob = 40 + 200 * np.exp(-((y - 120) ** 2 + (x - 171) ** 2) / 300)
    texture = RNG.normal(0, 3, (64, 80)).repeat(4, 0).repeat(4, 1)
    fine = (blob + texture).astype(np.float32)
    options: dict[str, Any] = {"photometric": "minisblack", "tile": (64, 64), "metadata": None}
    for name, coarse, offset in (
        ("first", fine[::2, ::2], 0.0),
        ("mean", fine.reshape(128, 2, 160, 2).mean((1, 3)), 0.5),
    ):
        path = tmp_path / f"{name}.ome.tif"
        xml = document(size=(256, 320), dtype="float")
        with tifffile.TiffWriter(path) as tif:
            tif.write(fine, subifds=1, description=xml.encode(), **options)
            tif.write(coarse, subfiletype=1, **options)
        image = read(path)
        assert len(image.levels) == 2
        start = image.grids[1].to_world([0, 0, 0]) - image.grid.to_world([0, 0, 0])
        assert_allclose(np.ravel(start), [0, offset * 0.25, offset * 0.5])
