"""Damaged and hostile OME-Zarr: folders, zip files, plates."""

from __future__ import annotations

import copy
import gzip
import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from harness import Mutant, damaged_bytes, fuzz, open_and_read

CARDIO = "20200812-CardiomyocyteDifferentiation14-Cycle1_B_03_mip.zarr"

Change = Callable[[Path], None]


@dataclass(frozen=True)
class Changed:
    """A copy of a seed folder, changed."""

    seed: Path
    change: Change

    def __call__(self, folder: Path) -> Path:
        place = folder / self.seed.name
        shutil.copytree(self.seed, place)
        self.change(place)
        return place


def open_and_look(path: Path) -> str:
    """As a viewer would; a picture of zeros must have been announced."""
    from napari_bridgecorr.io.registry import open_images

    answer = open_and_read(path)
    for image in open_images(path)[:5]:
        corner = image.data[:, :1, :4, :64, :64].compute(scheduler="synchronous")
        if not corner.any() and not any("is the copy whole" in w for w in image.warnings):
            raise AssertionError(f"an image of zeros without a word: {image.warnings}")
    return answer


def pixels(shape: tuple[int, ...]) -> Any:
    return np.random.default_rng(0).integers(1, 60_000, shape).astype(np.uint16)


def _multiscale(axes: str, n_levels: int) -> dict[str, Any]:
    kinds = {"t": "time", "c": "channel"}
    described = [
        {"name": a, "type": kinds.get(a, "space")} | ({"unit": "micrometer"} if a in "zyx" else {})
        for a in axes
    ]
    datasets = [
        {
            "path": str(k),
            "coordinateTransformations": [
                {"type": "scale", "scale": [2.0**k if a in "yx" else 1.0 for a in axes]}
            ],
        }
        for k in range(n_levels)
    ]
    return {"name": "seed", "axes": described, "datasets": datasets}


def make_v2(folder: Path, compressor: Any, shape: tuple[int, ...] = (2, 3, 40, 48)) -> None:
    """A 0.4 image of two levels with labels."""
    data = pixels(shape)
    zarr.create_group(str(folder), zarr_format=2)
    for k in range(2):
        level = data[..., :: 2**k, :: 2**k]
        array = zarr.create_array(
            str(folder / str(k)), shape=level.shape, dtype=level.dtype, chunks=(1, 2, 20, 24),
            zarr_format=2, fill_value=0, compressors=compressor,
            chunk_key_encoding={"name": "v2", "separator": "/"},
        )  # fmt: skip
        array[...] = level
    document = {"multiscales": [{"version": "0.4", **_multiscale("czyx", 2)}]}
    document["omero"] = {"channels": [{"label": "a", "color": "FF0000"}]}
    (folder / ".zattrs").write_text(json.dumps(document))


def make_v3(folder: Path, *, shards: bool) -> None:
    """A 0.5 image of two levels, with labels beside it."""
    zarr.create_group(str(folder), zarr_format=3)
    for k in range(2):
        level = pixels((3, 40, 48))[..., :: 2**k, :: 2**k]
        array = zarr.create_array(
            str(folder / str(k)), shape=level.shape, dtype=level.dtype, chunks=(2, 20, 24),
            shards=(2, 40, 48) if shards else None, fill_value=0,
        )  # fmt: skip
        array[...] = level
    edit(folder / "zarr.json", _set(("attributes", "ome"), {
        "version": "0.5", "multiscales": [_multiscale("zyx", 2)],
    }))  # fmt: skip


def make_v06(folder: Path) -> None:
    """A 0.6 image whose axes are swapped and turned on the way to the world."""
    make_v3(folder, shards=False)
    space = [{"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"]
    ome = {
        "version": "0.6",
        "multiscales": [{
            "coordinateSystems": [
                {"name": "world", "axes": space}, {"name": "physical", "axes": space},
            ],
            "datasets": [{
                "path": "0",
                "coordinateTransformations": [{
                    "type": "scale", "scale": [2, 0.5, 0.5],
                    "input": {"path": "0"}, "output": {"name": "physical"},
                }],
            }],
            "coordinateTransformations": [{
                "type": "sequence", "input": {"name": "physical"}, "output": {"name": "world"},
                "transformations": [
                    {"type": "mapAxis", "mapAxis": [2, 0, 1]},
                    {"type": "byDimension", "transformations": [
                        {"inputAxes": [0], "outputAxes": [2],
                         "transformation": {"type": "scale", "scale": [3]}},
                        {"inputAxes": [1, 2], "outputAxes": [0, 1],
                         "transformation": {"type": "translation", "translation": [1, 2]}},
                    ]},
                    {"type": "rotation", "rotation": [[0, -1, 0], [1, 0, 0], [0, 0, 1]]},
                ],
            }],
        }],
    }  # fmt: skip
    edit(folder / "zarr.json", _set(("attributes", "ome"), ome))


def make_plate(folder: Path) -> None:
    """Two wells of one field."""
    zarr.create_group(str(folder), zarr_format=2)
    wells = ["A/1", "B/2"]
    document = {"plate": {"wells": [{"path": w} for w in wells], "version": "0.4"}}
    (folder / ".zattrs").write_text(json.dumps(document))
    for well in wells:
        (folder / well).mkdir(parents=True)
        (folder / well / ".zgroup").write_text('{"zarr_format": 2}')
        (folder / well / ".zattrs").write_text('{"well": {"images": [{"path": "0"}]}}')
        make_v2(folder / well / "0", {"id": "zlib", "level": 1}, (1, 2, 16, 16))


def make_labels(folder: Path) -> None:
    """An image with labels."""
    make_v2(folder, {"id": "zlib", "level": 1})
    inner = folder / "labels" / "cells"
    make_v2(inner, {"id": "gzip", "level": 1}, (1, 3, 40, 48))
    (folder / "labels" / ".zgroup").write_text('{"zarr_format": 2}')
    (folder / "labels" / ".zattrs").write_text('{"labels": ["cells"]}')
    colours = [{"label-value": 1, "rgba": [1, 2, 3, 255]}]
    edit(inner / ".zattrs", _set(("image-label",), {"colors": colours}))


def make_zip(path: Path, folder: Path, **options: Any) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            archive.write(file, str(file.relative_to(folder)))


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("seeds")
    made = [root / f"{name}.zarr" for name in ("v3", "sharded", "v06", "plate", "labels", "blosc")]
    make_v3(made[0], shards=False)
    make_v3(made[1], shards=True)
    make_v06(made[2])
    make_plate(made[3])
    make_labels(made[4])
    make_v2(made[5], {"id": "blosc", "cname": "lz4", "clevel": 1, "shuffle": 1})
    return made


# ---- changes of JSON --------------------------------------------------------------------------


def edit(path: Path, change: Callable[[Any], Any]) -> None:
    """Change a JSON file in place."""
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def _set(where: tuple[Any, ...], value: Any) -> Callable[[Any], Any]:
    def change(document: Any) -> Any:
        inner = document
        for part in where[:-1]:
            inner = inner[part]
        inner[where[-1]] = value
        return document

    return change


STRANGE: tuple[Any, ...] = (
    None, True, 0, -1, 1, 2, 1.5, 1e308, -1e-308, 10**12, 2**31, 2**63, 10**400, "", "0", "/", "..",
    "../../../etc", "/etc/passwd", "a\0b", "x" * 5000, "\n", [], {}, [[]], [0], [1, 1, 1],
    [10**6] * 3, [10**12], [1] * 200, {"name": "x"}, {"type": "scale"}, [{}], [None], ["a", "a"],
    float("inf"), float("nan"), "NaN", {"path": ".."}, [{"type": "affine", "affine": [[0]]}],
)  # fmt: skip


def _nodes(document: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if at:
        yield at
    if not isinstance(document, dict | list):
        return
    for key in document if isinstance(document, dict) else range(len(document)):
        yield from _nodes(document[key], (*at, key))


def _strange_json(file: str, number: int) -> Change:
    def change(folder: Path) -> None:
        rng = np.random.default_rng(number)
        document = json.loads((folder / file).read_text())
        for _ in range(int(rng.integers(1, 4))):
            nodes = list(_nodes(document))
            if not nodes:
                break
            where = nodes[int(rng.integers(len(nodes)))]
            value = copy.deepcopy(STRANGE[int(rng.integers(len(STRANGE)))])
            inner = document
            for part in where[:-1]:
                inner = inner[part]
            if rng.random() < 0.2 and isinstance(inner, dict):
                del inner[where[-1]]
            else:
                inner[where[-1]] = value
        (folder / file).write_text(json.dumps(document))

    return change


def json_mutants(seed: Path, n: int, first: int) -> Iterator[Mutant]:
    files = sorted(
        str(p.relative_to(seed))
        for p in seed.rglob("*")
        if p.name in ("zarr.json", ".zattrs", ".zarray", ".zgroup")
    )
    for number in range(first, first + n):
        file = files[number % len(files)]
        name = f"strange values {number} in {seed.name}/{file}"
        yield Mutant(name, Changed(seed, _strange_json(file, number)))


def byte_mutants(seed: Path, n: int, random_seed: int) -> Iterator[Mutant]:
    files = sorted(p for p in seed.rglob("*") if p.is_file())
    rng = np.random.default_rng(random_seed)
    for number in range(n):
        file = files[int(rng.integers(len(files)))]
        # every kind of damage in turn
        inner = list(damaged_bytes(file, number % 6 + 1, random_seed=random_seed * 1000 + number))[
            -1
        ]
        where = file.relative_to(seed).parent

        def change(folder: Path, inner: Mutant = inner, where: Path = where) -> None:
            inner.write(folder / where)

        yield Mutant(f"{seed.name}/{where}: {inner.name}", Changed(seed, change))


# ---- hostile inputs ---------------------------------------------------------------------------


def _every_file(seed: Path) -> Iterator[Mutant]:
    """Each file absent, empty, half, of zeros, a folder, a pipe, a link out of the image."""
    for file in sorted(p for p in seed.rglob("*") if p.is_file()):
        key = file.relative_to(seed)
        size = file.stat().st_size
        ways: dict[str, Change] = {
            "absent": lambda f, k=key: (f / k).unlink(),
            "empty": lambda f, k=key: (f / k).write_bytes(b""),
            "half": lambda f, k=key, n=size: (f / k).write_bytes((f / k).read_bytes()[: n // 2]),
            "zeros": lambda f, k=key, n=size: (f / k).write_bytes(bytes(n)),
            "a folder": lambda f, k=key: ((f / k).unlink(), (f / k).mkdir())[0],
            "a pipe": lambda f, k=key: ((f / k).unlink(), os.mkfifo(f / k))[0],
            "a link": lambda f, k=key: ((f / k).unlink(), (f / k).symlink_to("/etc/passwd"))[0],
        }
        for what, change in ways.items():
            yield Mutant(f"{seed.name}/{key} {what}", Changed(seed, change))


def _array(key: str, **values: Any) -> Change:
    return lambda folder: edit(folder / key, lambda d: {**d, **values})


def _ome(change: Callable[[Any], Any]) -> Change:
    def change_folder(folder: Path) -> None:
        def inner(document: Any) -> Any:
            change(document["attributes"]["ome"]["multiscales"][0])
            return document

        edit(folder / "zarr.json", inner)

    return change_folder


def _grid(*chunk: int) -> dict[str, Any]:
    return {"name": "regular", "configuration": {"chunk_shape": list(chunk)}}


def hostile(seeds: list[Path]) -> Iterator[Mutant]:
    v3, sharded, _, plate, labels, blosc = seeds
    lies: dict[str, tuple[Path, Change]] = {}
    for n in (10**4, 10**6, 2**31, 2**40, 2**62):
        lies[f"shape of {n}^3"] = v3, _array("0/zarr.json", shape=[n] * 3)
        lies[f"shape of {n} planes"] = v3, _array("0/zarr.json", shape=[n, 40, 48])
        lies[f"chunk of {n}^3"] = v3, _array("0/zarr.json", chunk_grid=_grid(n, n, n))
        lies[f"v2 shape of {n}"] = blosc, _array("0/.zarray", shape=[n] * 4)
        lies[f"v2 chunk of {n}"] = blosc, _array("0/.zarray", chunks=[n] * 4)
        lies[f"shard of {n}"] = sharded, _array("0/zarr.json", chunk_grid=_grid(n, n, n))
    huge = [10**4] * 3
    lies["1e12 chunks of a voxel"] = (
        v3,
        _array("0/zarr.json", shape=huge, chunk_grid=_grid(1, 1, 1)),
    )
    lies["pickle"] = blosc, _array("0/.zarray", filters=[{"id": "pickle"}])
    lies["pickled objects"] = (
        blosc,
        _array("0/.zarray", dtype="|O", filters=[{"id": "pickle"}], fill_value=None),
    )
    lies["an unknown codec"] = blosc, _array("0/.zarray", compressor={"id": "os.system"})
    for path in ("../../../etc", "/etc", "..", "C:\\x", "0/../../..", "0/" * 500, "a\0", "."):
        lies[f"path {path[:20]!r}"] = (
            v3,
            _ome(lambda m, p=path: m["datasets"][0].__setitem__("path", p)),
        )
    lies["a link out"] = v3, lambda f: (
        shutil.rmtree(f / "0"), (f / "0").symlink_to("/etc"))[0]  # fmt: skip
    nested: Any = {"type": "identity"}
    for _ in range(150):
        nested = {"type": "sequence", "transformations": [nested]}
    lies["nested sequences"] = (
        v3,
        _ome(lambda m: m["datasets"][0].__setitem__("coordinateTransformations", [nested])),
    )
    lies["100,000 levels"] = v3, _ome(lambda m: m.__setitem__("datasets", m["datasets"] * 50_000))
    lies["100,000 axes"] = v3, _ome(lambda m: m.__setitem__("axes", m["axes"] * 30_000))
    lies["deep JSON"] = v3, lambda f: (f / "zarr.json").write_text("[" * 10**6)
    lies["large JSON"] = v3, lambda f: (f / "zarr.json").write_text('{"a": "' + "x" * 2**25 + '"}')
    lies["a long number"] = v3, lambda f: (f / "zarr.json").write_text("9" * 10**6)
    wells = [{"path": f"A/{i}"} for i in range(30_000)]
    lies["30,000 wells that are not there"] = (
        plate,
        lambda f: (f / ".zattrs").write_text(json.dumps({"plate": {"wells": wells}})),
    )
    lies["wells outside"] = (
        plate,
        lambda f: (f / ".zattrs").write_text(
            json.dumps({"plate": {"wells": [{"path": "../.."}, {"path": "A/1"}]}})
        ),
    )
    lies["labels outside"] = (
        labels,
        lambda f: (f / "labels" / ".zattrs").write_text(
            json.dumps({"labels": ["../..", "cells"] * 500})
        ),
    )
    lies["in itself"] = (
        v3,
        lambda f: (
            (f / "zarr.json").write_text(
                '{"zarr_format": 3, "node_type": "group", "attributes":'
                ' {"ome": {"bioformats2raw.layout": 3}}}'
            ),
            shutil.rmtree(f / "0"),
            (f / "0").symlink_to(f, target_is_directory=True),
        )[0],
    )
    for name, bomb in _bombs().items():
        key = "0/0/0/0/0" if name != "zstd" else "0/c/0/0/0"
        seed = v3 if name == "zstd" else blosc
        codec = None if name == "zstd" else {"id": name.partition(" ")[0]}
        lies[f"a {name} bomb"] = (
            seed,
            lambda f, k=key, b=bomb, c=codec: (
                (f / k).write_bytes(b),
                None if c is None else _array("0/.zarray", compressor=c)(f),
            )[0],
        )
    for name, (seed, change) in lies.items():
        yield Mutant(f"{name} in {seed.name}", Changed(seed, change))


def _bombs() -> dict[str, bytes]:
    """Chunks of 8 GiB of zeros, or that claim to be."""
    # what lies between full flushes stands alone and can be repeated
    packed = zlib.compressobj(9)
    head = packed.compress(bytes(2**24)) + packed.flush(zlib.Z_FULL_FLUSH)
    again = packed.compress(bytes(2**24)) + packed.flush(zlib.Z_FULL_FLUSH)
    deflated = head + again * 511 + packed.flush()
    block = gzip.compress(bytes(2**24), 9)
    # a zstd frame of run-length blocks of 128 KiB each, its size not stated
    run = (2**17 << 3 | 1 << 1).to_bytes(3, "little") + b"\0"
    zstd = b"\x28\xb5\x2f\xfd\x00\x58" + run * 65_536
    return {
        "zlib": deflated,
        "gzip": block * 512,
        "zstd": zstd,
        "blosc": b"\x02\x01\x13\x02" + (2**31 - 1).to_bytes(4, "little") + bytes(64),
        "lz4": (2**31 - 1).to_bytes(4, "little") + bytes(64),
    }


def zip_mutants(folder: Path, seed: Path, n: int) -> Iterator[Mutant]:
    plain = folder / "image.zarr.zip"
    make_zip(plain, seed)
    yield from damaged_bytes(plain, n, random_seed=5)

    def bomb(place: Path) -> Path:
        path = place / "bomb.ozx"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(p for p in seed.rglob("*") if p.is_file()):
                key = str(file.relative_to(seed))
                if key.startswith("0/c/"):
                    archive.writestr(key, bytes(2**28))
                else:
                    archive.write(file, key)
        return path

    def outside(place: Path) -> Path:
        path = place / "outside.ozx"
        make_zip(path, seed)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("../../evil", b"x")
            archive.writestr("/etc/evil", b"x")
            archive.writestr("0/c/../../../../evil", b"x")
        return path

    def many(place: Path) -> Path:
        path = place / "many.zarr.zip"
        make_zip(path, seed)
        with zipfile.ZipFile(path, "a") as archive:
            for i in range(20_000):
                archive.writestr(f"1/c/{i}", b"")
        return path

    yield Mutant("a zip bomb", bomb)
    yield Mutant("members outside of a zip", outside)
    yield Mutant("many members of a zip", many)


# ---- tests ------------------------------------------------------------------------------------


def random_seed() -> int:
    return int(os.environ.get("BRIDGECORR_FUZZ_SEED", "0"))


def test_damaged_folders(seeds: list[Path], n_mutants: int) -> None:
    each = max(1, n_mutants // len(seeds) // 3)
    first = random_seed() * 100_000
    mutants = [
        mutant
        for seed in seeds
        for mutant in (
            *json_mutants(seed, each, first),
            *byte_mutants(seed, each, random_seed() + 7),
        )
    ]
    result = fuzz(mutants, open_and_look)
    assert result.findings == ()
    assert result.n_opened > 0
    assert result.n_refused > 0


def test_every_file_in_turn(seeds: list[Path], n_mutants: int) -> None:
    # the large seeds have hundreds of chunks that are all alike
    mutants = [m for seed in seeds for m in _every_file(seed)]
    # a step that is no multiple of 7, the number of ways, meets them all
    step = max(1, len(mutants) // max(1, n_mutants // 2))
    result = fuzz(mutants[:: step + (step % 7 == 0)], open_and_look)
    assert result.findings == ()
    assert result.n_opened > 0
    assert result.n_refused > 0


def test_hostile_folders(seeds: list[Path]) -> None:
    result = fuzz(hostile(seeds), open_and_look)
    assert result.findings == ()
    assert result.n_opened > 0
    assert result.n_refused > 20


def test_zip_files(seeds: list[Path], n_mutants: int, tmp_path: Path) -> None:
    result = fuzz(zip_mutants(tmp_path, seeds[0], max(6, n_mutants // 8)), open_and_look)
    assert result.findings == ()
    assert result.n_opened > 0
    assert result.n_refused > 0


def test_a_real_image(real_data: Path, n_mutants: int) -> None:
    seed = real_data / "ome_zarr" / "simple_0.5"
    each = max(1, n_mutants // 10)
    mutants = [*json_mutants(seed, each, 1), *byte_mutants(seed, each, 3)]
    assert fuzz(mutants, open_and_look).findings == ()
