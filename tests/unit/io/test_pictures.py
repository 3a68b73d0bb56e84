"""PNG and JPEG against Pillow, and against damage."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from napari_bridgecorr.errors import ReadError
from napari_bridgecorr.image import SpatialImage
from napari_bridgecorr.io.picture_headers import jpeg2000_header, jpeg_header, png_header
from napari_bridgecorr.io.pictures import PictureReader

READER = PictureReader()
RNG = np.random.default_rng(5)


def noise(*shape: int, dtype: Any = np.uint8) -> np.ndarray:
    return (1 + RNG.random(shape) * (np.iinfo(dtype).max - 2)).astype(dtype)


def read(path: Path) -> SpatialImage:
    assert READER.claim(path).accepted
    (image,) = READER.read(path)
    return image


def refusal(path: Path) -> str:
    with pytest.raises(ReadError) as caught:
        [image.data.compute(scheduler="synchronous") for image in READER.read(path)]
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_pixels_are_pillows(tmp_path: Path, mode: str, ending: str) -> None:
    if mode == "I;16":
        picture = Image.fromarray(noise(30, 41, dtype=np.uint16))
    else:
        picture = Image.fromarray(noise(30, 41, 4 if "A" in mode else 3)).convert(mode)
    if ending == ".jpg" and mode not in ("L", "RGB"):
        pytest.skip("JPEG has no such pictures")
    path = tmp_path / f"a{ending}"
    picture.save(path, progressive=True)
    with Image.open(path) as opened:
        want = np.asarray(opened.convert("RGB") if mode == "P" else opened)
    want = want.astype(np.uint8) * 255 if want.dtype == bool else want
    want = want[:, :, None] if want.ndim == 2 else want
    image = read(path)
    assert image.dtype == want.dtype
    assert image.data.shape == (1, want.shape[2], 1, 30, 41)
    assert_array_equal(image.data[0, :, 0].compute().transpose(1, 2, 0), want)
    assert_array_equal(image.data[0, -1, 0, 3:9, ::7].compute(), want[3:9, ::7, -1])
    names = {1: ["C0"], 2: ["C0", "A"], 3: ["R", "G", "B"], 4: ["R", "G", "B", "A"]}
    assert [channel.name for channel in image.channels] == names[want.shape[2]]
    assert image.voxel_size_known == (False, False, False)
    assert image.warnings[0].startswith("no voxel size")


def test_a_stated_scale_is_believed_unless_it_is_a_printers(tmp_path: Path) -> None:
    picture = Image.fromarray(noise(20, 30))
    picture.save(tmp_path / "a.png", dpi=(50_800, 25_400))
    assert_allclose(read(tmp_path / "a.png").grid.voxel_size_um, (1, 1, 0.5), rtol=1e-4)
    for name, dpi in (("b.png", 300), ("b.jpg", 72), ("c.jpg", 96)):
        picture.save(tmp_path / name, dpi=(dpi, dpi))
        image = read(tmp_path / name)
        assert image.voxel_size_known == (False, False, False)
        assert "dots per inch" in image.warnings[0]


def test_a_turned_photograph_is_told(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(20, 30, 3)).save(tmp_path / "a.jpg", exif=exif)
    assert "turned" in read(tmp_path / "a.jpg").warnings[1]


@pytest.mark.parametrize("ending", [".png", ".jpg"])
@pytest.mark.parametrize("kept", [1, 9, 30, 0.3, 0.7, 0.99])
def test_cut_short(tmp_path: Path, ending: str, kept: float) -> None:
    path = tmp_path / f"a{ending}"
    Image.fromarray(noise(60, 70, 3)).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept if kept >= 1 else kept * len(whole))])
    refusal(path)


def test_other_contents_are_named(tmp_path: Path) -> None:
    picture = Image.fromarray(noise(20, 30))
    picture.save(tmp_path / "a.bmp")
    picture.save(tmp_path / "right.png")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "right.png").read_bytes())
    assert "rename it to end in .png" in refusal(tmp_path / "a.jpg")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.bmp").read_bytes())
    assert "no known image format" in refusal(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"")
    assert "empty" in refusal(tmp_path / "b.png")
    Image.fromarray(noise(20, 30, 4), "CMYK").save(tmp_path / "b.jpg")
    assert "printing" in refusal(tmp_path / "b.jpg")


def png_of(width: int, height: int, data: bytes) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_a_claimed_size_is_not_allocated(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png_of(2**20, 2**20, zlib.compress(bytes(100))))
    assert "unpacks to 1048576 MiB" in refusal(path)
    path.write_bytes(png_of(1000, 1000, zlib.compress(bytes(100))))
    assert "damaged" in refusal(path)


def test_headers_agree_with_pillow(tmp_path: Path) -> None:
    picture = Image.fromarray(noise(37, 53, 3))
    for name, header_of in (
        ("a.jpg", jpeg_header),
        ("a.png", png_header),
        ("a.jp2", jpeg2000_header),
        ("a.j2k", jpeg2000_header),
    ):
        picture.save(tmp_path / name)
        found = header_of((tmp_path / name).read_bytes())
        assert (found.size, found.samples, found.bits) == ((37, 53), 3, 8)


def test_real_pictures(real_data: Path) -> None:
    for path in sorted((real_data / "histology_landmarks").glob("*.jpg")):
        with Image.open(path) as opened:
            want = np.asarray(opened)
        assert_array_equal(read(path).data[0, :, 0].compute().transpose(1, 2, 0), want)
