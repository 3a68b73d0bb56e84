"""Labels, plates, series, zip files and servers; what is never opened."""

from __future__ import annotations

import functools
import http.server
import json
import os
import pickle
import shutil
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask.array as da
import fsspec
import numpy as np
import pytest
import zarr
from ome_zarr.io import parse_url
from ome_zarr.reader import Label, Reader
from ome_zarr_models import open_ome_zarr

from napari_bridgecorr.errors import ReadError, WriteError
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.io.ome_zarr import OmeZarrReader, write_collection, write_ome_zarr
from napari_bridgecorr.io.ome_zarr import layout as ome_zarr_layout
from napari_bridgecorr.io.ome_zarr.bounds import Overflowing, check_unpacked
from napari_bridgecorr.io.ome_zarr.files import LocalFiles, ZippedFiles
from napari_bridgecorr.io.registry import open_image, open_images, parse_image_path


def read(path: Path) -> tuple[SpatialImage, ...]:
    return OmeZarrReader().read(path)


def refusal(path: Path | str) -> str:
    with pytest.raises(ReadError) as caught:
        [i.data.compute(scheduler="sync") for i in open_images(path)]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def refusal_of_one(path: str) -> str:
    with pytest.raises(ReadError) as caught:
        open_image(path)
    return str(caught.value)


def an_image(shape=(2, 6, 40, 50), dtype=np.uint16, name="", **source: Any) -> SpatialImage:
    data = np.random.default_rng(1).integers(1, 200, (1, *shape)).astype(dtype)
    grid = Grid.from_spacing(shape[1:], (3, 0.5, 0.5), (10, 20, 30))
    channels = tuple(Channel(f"channel {c}", "#00FF00", (0.0, 9.5)) for c in range(shape[0]))
    whole = Source(Path("made up"), "test", image_name=name, axes="czyx", **source)
    return SpatialImage((da.from_array(data),), (grid,), channels, whole)


def same(one: SpatialImage, other: SpatialImage) -> bool:
    return (
        np.array_equal(one.data.compute(scheduler="sync"), other.data.compute(scheduler="sync"))
        and np.allclose(one.grid.index_to_world, other.grid.index_to_world, rtol=0, atol=1e-9)
        and one.channels == other.channels
    )


# ---- labels -----------------------------------------------------------------------------------


def test_labels_are_written_as_labels(tmp_path: Path) -> None:
    image = replace(
        an_image((1, 1, 600, 500), np.int32, "cells", role="labels"),
        metadata={
            "label_colours": {7: "#FF0080", 9: "#01020304"},
            "label_properties": {7: {"a": 1}},
        },
    )
    path = tmp_path / "cells.ome.zarr"
    write_ome_zarr(image, path)
    (back,) = read(path)
    assert back.is_labels
    assert back.source.role == "labels"
    assert same(back, image)
    assert back.metadata["label_colours"] == {7: "#FF0080FF", 9: "#01020304"}
    assert back.metadata["label_properties"] == {7: {"a": 1}}
    # no mean of two names: every name of a coarser level is one of the finer level
    for fine, coarse in zip(back.levels[:-1], back.levels[1:], strict=True):
        assert np.isin(coarse.compute(scheduler="sync"), fine.compute(scheduler="sync")).all()
    # what napari-ome-zarr reads with
    (node, *_) = Reader(parse_url(str(path)))()
    assert any(isinstance(spec, Label) for spec in node.specs)
    model = open_ome_zarr(zarr.open_group(str(path), mode="r"))
    assert type(model).__module__ == "ome_zarr_models.v05.image_label"


def test_labels_beside_an_image(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    write_ome_zarr(an_image(), path)
    write_ome_zarr(an_image((1, 3, 20, 25), np.uint8, "x", role="labels"), tmp_path / "inner.zarr")
    (path / "labels").mkdir()
    shutil.move(tmp_path / "inner.zarr", path / "labels" / "cells")
    listed = {"ome": {"version": "0.5", "labels": ["cells", "gone", "../..", "cells"]}}
    (path / "labels" / "zarr.json").write_text(
        json.dumps({"zarr_format": 3, "node_type": "group", "attributes": listed})
    )
    image, labels = read(path)
    assert (image.source.role, labels.source.role) == ("image", "labels")
    assert labels.name == "cells"
    assert labels.data.shape == (1, 1, 3, 20, 25)
    assert [w.split(":")[0] for w in image.warnings] == [
        "the labels 'gone' are left out", "the labels '../..' are left out",
    ]  # fmt: skip
    # the labels alone, and the group that lists them
    assert read(path / "labels" / "cells")[0].source.role == "labels"
    assert read(path / "labels")[0].source.role == "labels"


# ---- series and plates ------------------------------------------------------------------------


def test_a_whole_file_comes_back(tmp_path: Path) -> None:
    images = [
        an_image((1, 1, 30, 20), np.uint8, "macro", role="slide preview"),
        an_image((2, 4, 300, 310), np.uint16, "brain"),
        an_image((1, 4, 30, 31), np.int32, "cells", role="labels"),
        an_image((3, 1, 30, 31), np.uint8, "brain 2"),
    ]
    write_collection(images, tmp_path / "all.ome.zarr")
    back = read(tmp_path / "all.ome.zarr")
    assert [(i.name, i.source.role, i.source.image_index) for i in back] == [
        ("brain", "image", 0), ("brain 2", "image", 1), ("macro", "slide preview", 2),
        ("cells", "labels", 3),
    ]  # fmt: skip
    for one, number in zip(back, (1, 3, 0, 2), strict=True):
        assert same(one, images[number])
    for number in range(4):
        group = zarr.open_group(str(tmp_path / "all.ome.zarr" / str(number)), mode="r")
        assert type(open_ome_zarr(group)).__module__.startswith("ome_zarr_models.v05.image")
    with pytest.raises(WriteError, match="no image"):
        write_collection([], tmp_path / "none.ome.zarr")


def make_plate(root: Path, wells: tuple[str, ...]) -> None:
    root.mkdir()
    (root / ".zgroup").write_text('{"zarr_format": 2}')
    listed = [{"path": w, "rowIndex": 0, "columnIndex": 0} for w in wells]
    (root / ".zattrs").write_text(json.dumps({"plate": {"wells": listed, "version": "0.4"}}))
    for n, well in enumerate(wells, start=1):
        for field in ("0", "1"):
            folder = root / well / field
            folder.mkdir(parents=True)
            data = np.full((1, 8, 9), 10 * n + int(field), np.uint8)
            array = zarr.create_array(
                str(folder / "0"), shape=data.shape, dtype=data.dtype, chunks=data.shape,
                zarr_format=2, fill_value=0,
            )  # fmt: skip
            array[...] = data
            axes = [{"name": "c", "type": "channel"}] + [
                {"name": a, "type": "space", "unit": "micrometer"} for a in "yx"
            ]
            scale = [{"type": "scale", "scale": [1, 0.5, 0.5]}]
            datasets = [{"path": "0", "coordinateTransformations": scale}]
            entry = {"version": "0.4", "axes": axes, "datasets": datasets}
            (folder / ".zattrs").write_text(json.dumps({"multiscales": [entry]}))
        (root / well / ".zattrs").write_text(
            json.dumps({"well": {"images": [{"path": "0"}, {"path": "1"}], "version": "0.4"}})
        )


def test_every_field_of_a_plate_is_listed(tmp_path: Path) -> None:
    root = tmp_path / "plate.zarr"
    make_plate(root, ("A/1", "A/2", "B/1"))
    images = read(root)
    assert [i.name for i in images] == ["A/1/0", "A/1/1", "A/2/0", "A/2/1", "B/1/0", "B/1/1"]
    assert [int(i.data.max()) for i in images] == [10, 11, 20, 21, 30, 31]
    assert "fields overlap in one world" in images[0].warnings[0]
    assert open_image(f"{root}#3").name == "A/2/1"
    # absent metadata are told; the rest is shown
    (root / "A" / "2" / "0" / ".zattrs").unlink()
    shutil.rmtree(root / "B" / "1")
    images = read(root)
    assert [i.name for i in images] == ["A/1/0", "A/1/1", "A/2/1"]
    told = " ".join(images[0].warnings)
    assert "image 'B/1' is left out" in told
    # one well, and one field, alone
    assert [i.data.shape for i in read(root / "A" / "1")] == [(1, 1, 1, 8, 9)] * 2
    assert len(read(root / "A" / "1" / "0")) == 1
    many = {"plate": {"wells": [{"path": f"A/{i}"} for i in range(6000)]}}
    (root / ".zattrs").write_text(json.dumps(many))
    assert "6000 wells, which is absurd" in refusal(root)


# ---- shards -----------------------------------------------------------------------------------


def test_only_the_inner_chunks_that_are_wanted_are_read(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(ome_zarr_layout, "VOLUME_CHUNK", (4, 32, 32))
    monkeypatch.setattr(ome_zarr_layout, "MOST_FILES", 4)
    image = an_image((1, 32, 128, 128))
    write_ome_zarr(image, tmp_path / "a.zarr")
    (back,) = read(tmp_path / "a.zarr")
    n_files = sum(p.is_file() for p in (tmp_path / "a.zarr" / "0").rglob("*"))
    assert n_files <= 4
    taken = []
    whole = LocalFiles.read

    def watched(self: LocalFiles, key: str, start: int = 0, stop: int | None = None) -> Any:
        found = whole(self, key, start, stop)
        taken.append(len(found or b""))
        return found

    monkeypatch.setattr(LocalFiles, "read", watched)
    part = back.data[0, 0, 9, 40:60, 70:90].compute(scheduler="sync")
    assert np.array_equal(part, image.data[0, 0, 9, 40:60, 70:90].compute(scheduler="sync"))
    # the index (16 bytes a chunk and a checksum) and one chunk
    assert sum(taken) <= 8 * 4 * 4 * 16 + 4 + 4 * 32 * 32 * 2


# ---- zip files --------------------------------------------------------------------------------


def zipped(path: Path, folder: Path, above: str = "", how: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", how) as archive:
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            archive.write(file, above + file.relative_to(folder).as_posix())
    return path


@pytest.mark.parametrize("name", ["a.ozx", "a.ome.zarr.zip", "a.zip", "a.zarr"])
@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("above", ["", "brain.ome.zarr/"])
def test_zip_files(tmp_path: Path, name: str, how: int, above: str) -> None:
    image = an_image()
    write_ome_zarr(image, tmp_path / "plain.ome.zarr")
    path = zipped(tmp_path / name, tmp_path / "plain.ome.zarr", above, how)
    (back,) = open_images(path)
    assert same(back, image)
    assert back.warnings == ()
    again = pickle.loads(pickle.dumps(back.data))
    assert np.array_equal(again.compute(scheduler="sync"), image.data.compute(scheduler="sync"))


def test_hostile_zip_files(tmp_path: Path) -> None:
    write_ome_zarr(an_image(), tmp_path / "plain.ome.zarr")
    path = zipped(tmp_path / "bomb.ozx", tmp_path / "plain.ome.zarr")
    (chunk,) = [n for n in zipfile.ZipFile(path).namelist() if n.startswith("0/c/0")]
    with zipfile.ZipFile(tmp_path / "bomb.ozx", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(p for p in (tmp_path / "plain.ome.zarr").rglob("*") if p.is_file()):
            key = file.relative_to(tmp_path / "plain.ome.zarr").as_posix()
            archive.writestr(key, bytes(2**26) if key == chunk else file.read_bytes())
    assert "far larger than the chunk" in refusal(tmp_path / "bomb.ozx")
    files = ZippedFiles(zipped(tmp_path / "b.ozx", tmp_path / "plain.ome.zarr"))
    assert files.read("../plain.ome.zarr/zarr.json") is None
    (tmp_path / "no.ozx").write_bytes(b"PK\x03\x04" + bytes(50))
    assert "no zip file" in refusal(tmp_path / "no.ozx")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("letter.txt", "x")
    assert not OmeZarrReader().claim(tmp_path / "other.zip").accepted


# ---- links and codecs -------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no links and pipes")
@pytest.mark.parametrize("key", ["0", "0/c/0/0/0/0", "0/zarr.json", "zarr.json"])
def test_links_out_are_refused_and_links_within_followed(tmp_path: Path, key: str) -> None:
    path = tmp_path / "in" / "a.zarr"
    path.parent.mkdir()
    write_ome_zarr(an_image(), path)
    inside = path / "kept"
    shutil.move(path / key, inside)
    (path / key).symlink_to(inside)
    assert same(read(path)[0], an_image())
    shutil.move(inside, tmp_path / "kept")
    (path / key).unlink()
    (path / key).symlink_to(tmp_path / "kept")
    assert "leads out" in refusal(path)
    # a link to the image itself is the user's own
    (tmp_path / "link.zarr").symlink_to(path)
    (path / key).unlink()
    shutil.move(tmp_path / "kept", path / key)
    assert same(read(tmp_path / "link.zarr")[0], an_image())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_a_pipe_is_no_chunk(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    write_ome_zarr(an_image(), path)
    (path / "0" / "c" / "0" / "0" / "0" / "0").unlink()
    os.mkfifo(path / "0" / "c" / "0" / "0" / "0" / "0")
    (image,) = read(path)
    assert "1 of 2 chunks are not in the file" in image.warnings[0]


def test_codecs_that_run_code_are_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "evil",))

    folder = tmp_path / "a.zarr"
    make_plate(tmp_path / "plate.zarr", ("A/1",))
    shutil.copytree(tmp_path / "plate.zarr" / "A" / "1" / "0", folder)
    document = json.loads((folder / "0" / ".zarray").read_text())
    document["filters"] = [{"id": "pickle"}]
    (folder / "0" / ".zarray").write_text(json.dumps(document))
    (chunk,) = [p for p in (folder / "0").rglob("*") if p.name[0] == "0" and p.is_file()]
    chunk.write_bytes(pickle.dumps(Evil()))
    assert "'pickle', which is not read" in refusal(folder)
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("codec", ["zlib", "gzip", "bz2", "lzma", "zstd", "blosc", "lz4"])
def test_what_unpacks_to_too_much_is_refused(codec: str) -> None:
    import numcodecs

    packed = bytes(numcodecs.get_codec({"id": codec}).encode(bytes(2**24)))
    check_unpacked(codec, packed, 2**24)
    with pytest.raises(Overflowing):
        check_unpacked(codec, packed, 2**24 - 1)


# ---- servers ----------------------------------------------------------------------------------


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        if self.path.startswith("/slow"):
            time.sleep(3)
        super().do_GET()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """Address of a server of `tmp_path`."""
    handler = functools.partial(_Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_an_image_on_a_server(tmp_path: Path, served: str, monkeypatch) -> None:
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(ome_zarr_layout, "VOLUME_CHUNK", (4, 32, 32))
    monkeypatch.setattr(ome_zarr_layout, "MOST_FILES", 4)
    image = an_image((1, 8, 128, 128), name="brain")
    write_ome_zarr(image, tmp_path / "a.ome.zarr")
    (back,) = open_images(f"{served}/a.ome.zarr")
    assert same(back, image)
    assert back.warnings == ()
    assert back.source.location == f"{served}/a.ome.zarr"
    assert back.source.path == Path("a.ome.zarr")
    assert open_image(f"{served}/a.ome.zarr#0").name == "brain"
    # a server that knows no ranges sends the whole shard: the part is cut out of it
    part = back.data[0, 0, 5, 40:60, 70:90].compute(scheduler="sync")
    assert np.array_equal(part, image.data[0, 0, 5, 40:60, 70:90].compute(scheduler="sync"))
    assert "has no image #4" in refusal_of_one(f"{served}/a.ome.zarr#4")
    (tmp_path / "a.ome.zarr" / "0" / "c" / "0" / "0" / "0" / "0").unlink()
    assert "it holds no pixels" in refusal(f"{served}/a.ome.zarr")


def test_a_plate_on_a_server(tmp_path: Path, served: str) -> None:
    pytest.importorskip("aiohttp")
    make_plate(tmp_path / "plate.zarr", ("A/1", "B/1"))
    images = open_images(f"{served}/plate.zarr")
    assert [i.name for i in images] == ["A/1/0", "A/1/1", "B/1/0", "B/1/1"]
    assert int(images[2].data.max()) == 20


def test_servers_that_fail_are_one_line(tmp_path: Path, served: str, monkeypatch) -> None:
    pytest.importorskip("aiohttp")
    assert "no Zarr metadata is there" in refusal(f"{served}/none.zarr")
    (tmp_path / "page.zarr").mkdir()
    (tmp_path / "page.zarr" / "zarr.json").write_text("<html>")
    assert "no JSON" in refusal(f"{served}/page.zarr")
    assert "cannot be reached" in refusal("http://127.0.0.1:1/a.zarr")
    from napari_bridgecorr.io.ome_zarr import remote

    monkeypatch.setattr(remote, "_ANSWER_S", 0.2)
    assert "no answer within some seconds" in refusal(f"{served}/slow.zarr")


def test_a_store_in_memory() -> None:
    files = fsspec.filesystem("memory")
    image = an_image()
    try:
        group = zarr.create_group("memory://box/a.zarr", zarr_format=3)
        array = zarr.create_array(
            "memory://box/a.zarr/0", shape=(6, 40, 50), dtype="u2", chunks=(3, 40, 50), fill_value=0
        )
        array[...] = image.data[0, 0].compute(scheduler="sync")
        scale = [{"type": "scale", "scale": [3, 0.5, 0.5]}]
        axes = [{"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"]
        datasets = [{"path": "0", "coordinateTransformations": scale}]
        ome = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
        group.attrs.put({"ome": ome})
        (back,) = open_images("memory://box/a.zarr")
        assert np.array_equal(back.data[0, 0].compute(), image.data[0, 0].compute())
        assert back.grid.voxel_size_um == (3, 0.5, 0.5)
        files.rm("/box/a.zarr/0/c/0/0/0")
        assert "1 of 2 chunks" in open_images("memory://box/a.zarr")[0].warnings[0]
        files.rm("/box/a.zarr/0/c", recursive=True)
        assert "holds no pixels" in refusal("memory://box/a.zarr")
    finally:
        files.rm("/box", recursive=True)


def test_a_missing_package_is_named(monkeypatch) -> None:
    import importlib

    real = importlib.import_module

    def absent(name: str, package: str | None = None) -> Any:
        if name == "s3fs":
            raise ModuleNotFoundError("No module named 's3fs'")
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", absent)
    assert "pip install 'napari-bridgecorr[remote]'" in refusal("s3://bucket/a.zarr")


def test_addresses(tmp_path: Path) -> None:
    assert parse_image_path("https://h/a%20b.zarr#2") == ("https://h/a%20b.zarr", 2)
    assert parse_image_path("s3://b/a.zarr/#x") == ("s3://b/a.zarr/#x", None)
    # a path has been made of it on the way
    place, number = parse_image_path(Path("https://h/a.zarr"))
    assert (str(place), number, place.name) == ("https://h/a.zarr", None, "a.zarr")
    assert parse_image_path("file:///tmp/a.nii#1") == (Path("/tmp/a.nii"), 1)
    assert parse_image_path("c:/a.nii") == (Path("c:/a.nii"), None)
    write_ome_zarr(an_image(), tmp_path / "a b.zarr")
    assert same(open_image((tmp_path / "a b.zarr").as_uri()), an_image())
