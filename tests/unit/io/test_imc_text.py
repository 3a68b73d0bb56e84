"""Text files of mass cytometers against readimc and against the MCD file beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import readimc
from hypothesis import given
from hypothesis import strategies as st
from imc_files import Region, rectangle, textured, write_mcd, write_text

from napari_bridgecorr.errors import ReadError
from napari_bridgecorr.image import SpatialImage
from napari_bridgecorr.io.mcd import ImcTextReader, McdReader, pixels, text_pixels
from napari_bridgecorr.io.mcd.text_pixels import parse_columns


def read(path: Path) -> SpatialImage:
    assert ImcTextReader().claim(path).accepted
    (image,) = ImcTextReader().read(path)
    return image


def stored(image: SpatialImage) -> np.ndarray:
    return np.asarray(image.data)[0, :, 0, ::-1]


REAL = [(n, region) for n in (1, 2) for region in (1, 2, 3)]


@pytest.mark.parametrize(("number", "region"), REAL)
def test_real_text_files_equal_readimc_and_the_mcd(real_data: Path, number, region) -> None:
    mcd = real_data / "mcd" / f"20210305_NE_mockData{number}.mcd"
    path = mcd.with_name(f"{mcd.stem}_ROI_00{region}_{region}.txt")
    image = read(path)
    with readimc.TXTFile(path) as file:
        np.testing.assert_array_equal(stored(image), file.read_acquisition())
        assert [c.metal for c in image.channels] == file.channel_names
        assert [c.name for c in image.channels] == file.channel_labels
    acquisition = McdReader().read(mcd)[region - 1]
    assert image.channels == acquisition.channels
    assert image.data.shape == acquisition.data.shape
    assert image.dtype == acquisition.dtype
    # three decimals are written
    np.testing.assert_allclose(
        np.asarray(image.data), np.asarray(acquisition.data), rtol=0, atol=0.000501
    )


@pytest.fixture
def region() -> Region:
    return Region(1, np.round(textured((3, 12, 9)), 3), rectangle(0, 100, 9, 12))


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_it_equals_the_mcd_file(tmp_path: Path, region: Region, newline: str) -> None:
    image = read(write_text(tmp_path / "a.txt", region, newline))
    (acquisition,) = McdReader().read(write_mcd(tmp_path / "a.mcd", [region]))
    np.testing.assert_array_equal(np.asarray(image.data), np.asarray(acquisition.data))
    assert [c.metal for c in image.channels] == ["Ir191", "Yb172", "Pr141"]
    assert image.voxel_size_known == (False, False, False)
    assert image.warnings == (
        "no voxel size along y, x in the file: 1 um is assumed; state it with --spacing z,y,x",
    )


@pytest.mark.parametrize("step_bytes", [200, 1000, 2**20])
@pytest.mark.parametrize("chunk_bytes", [200, 2**20])
def test_blocks_change_nothing(tmp_path, region, monkeypatch, step_bytes, chunk_bytes) -> None:
    monkeypatch.setattr(text_pixels, "_STEP_BYTES", step_bytes)
    monkeypatch.setattr(pixels, "_CHUNK_BYTES", chunk_bytes)
    image = read(write_text(tmp_path / "a.txt", region))
    np.testing.assert_array_equal(stored(image), region.pixels)
    part = np.asarray(image.data[0, 1:, 0, 3:9, 5:7])
    np.testing.assert_array_equal(part, region.pixels[1:, ::-1][:, 3:9, 5:7])


@pytest.mark.parametrize("step_bytes", [200, 2**20])
def test_lines_out_of_order_go_where_they_say(tmp_path, region, monkeypatch, step_bytes) -> None:
    monkeypatch.setattr(text_pixels, "_STEP_BYTES", step_bytes)
    region.order = np.random.default_rng(3).permutation(108)
    image = read(write_text(tmp_path / "a.txt", region))
    np.testing.assert_array_equal(stored(image), region.pixels)


def test_a_stopped_acquisition_is_told(tmp_path: Path, region: Region) -> None:
    region.n_stored = 50
    image = read(write_text(tmp_path / "a.txt", region))
    # the text says nothing of lines that were never begun
    expected = region.pixels[:, :6].copy()
    expected.reshape(3, -1)[:, 50:] = 0
    np.testing.assert_array_equal(stored(image), expected)
    assert "stopped after 50 of 54 pixels" in image.warnings[0]


@pytest.mark.parametrize("end", ["", "\n", "\n\n\r\n  \n", "\n" * 3000])
@pytest.mark.parametrize("step_bytes", [500, 2**20])
def test_the_end_of_the_file_may_be_blank(tmp_path, region, monkeypatch, end, step_bytes) -> None:
    monkeypatch.setattr(text_pixels, "_STEP_BYTES", step_bytes)
    path = write_text(tmp_path / "a.txt", region)
    path.write_bytes(path.read_bytes().rstrip() + end.encode())
    np.testing.assert_array_equal(stored(read(path)), region.pixels)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("0\t0\t0\t", "0\t0\t", "cells each"),
        ("\t5\t4\t41\t", "\t5\tx\t41\t", "is no number"),
        ("\t5\t4\t41\t", "\t5\t\t41\t", "no number"),
        ("\t5\t4\t41\t", "\t5\t3\t41\t", "column 5, row 4 is missing"),
        ("\t5\t4\t41\t", "\t5\tnan\t41\t", "a pixel lies at"),
        ("\t8\t11\t107\t", "\t8\t9999\t107\t", "cannot fill"),
        ("\t8\t11\t107\t", "\t8\t1e99\t107\t", "a pixel lies at"),
        ("\t8\t11\t107\t", "\t8\t-3\t107\t", "a pixel lies at"),
    ],
)
def test_damage_is_an_error(tmp_path: Path, region: Region, old: str, new: str, fault) -> None:
    path = write_text(tmp_path / "a.txt", region)
    content = path.read_text()
    assert content.count(old) == 1 or old.startswith("0")
    path.write_text(content.replace(old, new, 1))
    with pytest.raises(ReadError, match=fault):
        read(path).data.compute()


def test_a_header_without_pixels_is_an_error(tmp_path: Path, region: Region) -> None:
    region.n_stored = 0
    with pytest.raises(ReadError, match="holds no pixels"):
        read(write_text(tmp_path / "a.txt", region))


def test_letters_of_windows_and_a_byte_order_mark(tmp_path: Path, region: Region) -> None:
    region.channels = (("Ir", 191, "TNF"), ("Yb", 172, "b"), ("Pr", 141, "c"))
    path = write_text(tmp_path / "a.txt", region)
    content = path.read_bytes()
    path.write_bytes(b"\xef\xbb\xbf" + content.replace(b"TNF", "TNF-α".encode()))
    assert read(path).channels[0].name == "TNF-α"
    path.write_bytes(content.replace(b"TNF", b"TNF\xb5"))
    assert read(path).channels[0].name == "TNFµ"
    path.write_bytes(content.replace(b"TNF(Ir191Di)", b"plain"))
    assert (read(path).channels[0].name, read(path).channels[0].metal) == ("plain", None)


@pytest.mark.parametrize("content", ["", "Start_push", "#Insight Transform File V1.0\n"])
def test_other_text_is_not_claimed(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text(content)
    assert not ImcTextReader().claim(path).accepted


numbers = st.one_of(
    st.floats(0, 1e6).map(lambda v: f"{v:.3f}"),
    st.integers(0, 10**12).map(str),
    st.floats(allow_nan=False).map(repr),
)


@given(st.integers(1, 5), st.data(), st.booleans())
def test_numbers_are_those_of_float(n_columns: int, data, ends_with_newline: bool) -> None:
    rows = data.draw(
        st.lists(st.lists(numbers, min_size=n_columns, max_size=n_columns), min_size=1, max_size=8)
    )
    text = "\n".join("\t".join(row) for row in rows) + "\n" * ends_with_newline
    wanted = data.draw(st.lists(st.integers(0, n_columns - 1)))
    found = parse_columns(text.encode(), n_columns, np.array(wanted, int), len(rows))
    expected = np.array([[float(row[c]) for c in wanted] for row in rows])
    np.testing.assert_allclose(found, expected.reshape(found.shape), rtol=2e-16, atol=0)
