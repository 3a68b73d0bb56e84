"""Which reader opens what, and what the user is told when none does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_bridgecorr.errors import GeometryError, ReadError
from napari_bridgecorr.io.registry import open_image, open_images, parse_image_path, readers


@pytest.fixture
def two_images(tmp_path: Path) -> Path:
    path = tmp_path / "two.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tif:
        for number in (1, 2):
            tif.write(np.full((20, 30), number, np.uint8), metadata={"axes": "YX"})
    return path


def refusal(path: object) -> str:
    with pytest.raises(ReadError) as caught:
        open_image(str(path))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_every_reader_is_listed() -> None:
    assert next(reader.format_name for reader in readers()) == "NIfTI"
    assert len(readers()) >= 4
    for reader in readers():
        assert reader.patterns
        assert not reader.claim(Path("no such file.xyz")).accepted


def test_the_registry_itself_loads_no_format_library() -> None:
    code = (
        "import sys, napari_bridgecorr.io.registry;"
        "print([m for m in ('nibabel', 'tifffile', 'zarr', 'pylibCZIrw') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_image_numbers_in_paths(tmp_path: Path) -> None:
    assert parse_image_path("slide.czi#2") == (Path("slide.czi"), 2)
    assert parse_image_path("slide.czi") == (Path("slide.czi"), None)
    assert parse_image_path("slide.czi#") == (Path("slide.czi#"), None)
    assert parse_image_path("slide.czi#-1") == (Path("slide.czi#-1"), None)
    assert parse_image_path("a#b/slide.czi") == (Path("a#b/slide.czi"), None)
    real = tmp_path / "odd.tif#3"
    real.write_bytes(b"x")
    assert parse_image_path(real) == (real, None)


def test_the_numbered_image_is_opened(two_images: Path) -> None:
    assert len(open_images(two_images)) == 2
    assert open_image(two_images).data.max().compute() == 1
    image = open_image(f"{two_images}#1")
    assert image.data.max().compute() == 2
    assert image.source.image_index == 1
    message = refusal(f"{two_images}#2")
    assert "has no image #2" in message
    assert "#0 to #1" in message


def test_the_stated_spacing_answers_the_warning(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 20, 30), np.uint8), photometric="minisblack")
    image = open_image(tmp_path / "a.tif")
    assert image.voxel_size_known == (False, False, False)
    assert len(image.warnings) == 1
    stated = open_image(tmp_path / "a.tif", (5, 2, 3))
    assert stated.grid.voxel_size_um == (5, 2, 3)
    assert stated.voxel_size_known == (True, True, True)
    assert stated.warnings == ()
    with pytest.raises(GeometryError):
        open_image(tmp_path / "a.tif", (0, 2, 3))


def test_what_is_not_there(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "none.nii")
    assert "does not exist" in refusal(tmp_path / "none.czi#3")
    (tmp_path / "file").write_bytes(b"x")
    assert "does not exist" in refusal(tmp_path / "file" / "below.nii")
    assert "cannot be opened" in refusal("a\0b.nii")
    assert "cannot be opened" in refusal(tmp_path / ("x" * 5000))


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.czi", "a.tif", "a.xyz", "a"])
def test_empty_files(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert "is empty" in refusal(tmp_path / name)


def test_folders_with_nothing_to_read(tmp_path: Path) -> None:
    assert "empty folder" in refusal(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    message = refusal(tmp_path)
    assert "TIFF: no TIFF files lie in the folder" in message


def test_unknown_formats_hear_the_readers_that_their_name_calls(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_bytes(b"what is this")
    message = refusal(tmp_path / "a.xyz")
    assert "of no format that is read here; name a file" in message
    (tmp_path / "a.txt").write_bytes(b"what is this")
    message = refusal(tmp_path / "a.txt")
    assert "IMC text:" in message
    assert "NIfTI:" not in message


def test_content_under_another_name(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((20, 30), np.uint8))
    for name in ("a.nii", "a.img2"):
        (tmp_path / name).write_bytes((tmp_path / "a.tif").read_bytes())
        assert "rename it to end in .tif" in refusal(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.nii")
    assert "neither a file nor a folder" in refusal(tmp_path / "pipe.nii")


def test_forbidden_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.nii"
    path.write_bytes(b"x" * 400)
    path.chmod(0)
    if os.access(path, os.R_OK):  # the superuser may read everything: let the system say no

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)
    assert "may not be read" in refusal(path)
