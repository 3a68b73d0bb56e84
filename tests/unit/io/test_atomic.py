"""Outputs appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_bridgecorr.errors import Cancelled, WriteError
from napari_bridgecorr.io.atomic import replacing, write_text


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_file_takes_its_place_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_text("old")
    with replacing(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.name.endswith(".partial.a.csv.gz")
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["a.csv.gz"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, Cancelled, MemoryError])
@pytest.mark.parametrize("folder", [False, True])
def test_any_failure_leaves_what_was_there(
    tmp_path: Path, error: type[BaseException], folder: bool
) -> None:
    path = tmp_path / "a.zarr"
    if folder:
        path.mkdir()
        (path / "zarr.json").write_text("old")

    def fail() -> None:
        with replacing(path) as temporary:
            if folder:
                temporary.mkdir()
                (temporary / "zarr.json").write_text("new")
            else:
                temporary.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert names(tmp_path) == (["a.zarr"] if folder else [])
    if folder:
        assert (path / "zarr.json").read_text() == "old"


def write_folder(path: Path) -> None:
    with replacing(path) as temporary:
        temporary.mkdir()
        (temporary / "zarr.json").write_text("new")


def test_an_image_folder_is_replaced_but_never_somebodys_documents(tmp_path: Path) -> None:
    image = tmp_path / "image.zarr"
    image.mkdir()
    (image / "zarr.json").write_text("old")
    (image / "leftover").write_text("old")
    write_folder(image)
    assert names(image) == ["zarr.json"]
    assert (image / "zarr.json").read_text() == "new"

    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "thesis.tex").write_text("years of work")
    with pytest.raises(WriteError, match="something else"):
        write_folder(documents)
    with pytest.raises(WriteError, match="folder of this name"):
        write_text(documents, "x")
    assert names(documents) == ["thesis.tex"]
    (tmp_path / "file").write_text("kept")
    with pytest.raises(WriteError, match="something else"):
        write_folder(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "kept"
    assert names(tmp_path) == ["documents", "file", "image.zarr"]


def test_a_missing_folder_and_an_impossible_name(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="folder does not exist"):
        write_text(tmp_path / "none" / "a.txt", "x")
    with pytest.raises(WriteError) as caught:
        write_text(tmp_path / ("n" * 250), "x")
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == []
