"""Damaged transform files of every format: a transform or one line."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import SimpleITK as sitk
from harness import Mutant, damaged_bytes, fuzz, write_bytes
from hdf5_checksum import lookup3

from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.io.transform_files import write_transform
from napari_bridgecorr.transform import Affine, Chain, DisplacementField

_POINTS_UM = np.random.default_rng(0).uniform(-300, 300, (50, 3))


def use_transform(path: Path) -> str:
    """Read a transform and map some points with it, as `bridgecorr map` does."""
    from napari_bridgecorr.io.transform_files import read_transform
    from napari_bridgecorr.workflow.kinds import kind_of

    kind_of(path)
    transform = read_transform(path).transform
    mapped = transform.map(_POINTS_UM)
    assert mapped.shape == _POINTS_UM.shape
    if isinstance(transform, DisplacementField):
        # the seeds hold no zero: a field of them was made up
        assert np.any(transform.displacement_um != 0)
    return "opened"


def field() -> DisplacementField:
    values = np.random.default_rng(1).uniform(5, 40, (3, 4, 5, 6))
    return DisplacementField(Grid.from_spacing((4, 5, 6), 90.0, (-200, -200, -200)), values)


AFFINE = Affine([[1.1, 0.2, 0, 3], [0, 0.9, 0.1, -5], [0.3, 0, 1.05, 40], [0, 0, 0, 1]])
SEEDS: dict[str, Any] = {
    "t.tfm": AFFINE,
    "t.mat": AFFINE,
    "t.json": Chain(AFFINE, field()),
    "t.h5": Chain(AFFINE, field(), AFFINE),
    "TransformParameters.0.txt": AFFINE,
    "1Warp.nii": field(),
    "1Warp.nii.gz": field(),
    "1Warp.nrrd": field(),
    "1Warp.mha": field(),
}


@pytest.mark.parametrize("kinds", ["texts", "h5", "images"])
def test_damaged_files(tmp_path: Path, kinds: str, n_mutants: int) -> None:
    names = {
        "texts": ["t.tfm", "t.mat", "t.json", "TransformParameters.0.txt"],
        "h5": ["t.h5"],
        "images": ["1Warp.nii", "1Warp.nii.gz", "1Warp.nrrd", "1Warp.mha"],
    }[kinds]
    mutants: list[Mutant] = []
    for name in names:
        seed = tmp_path / name
        write_transform(SEEDS[name], seed)
        mutants.append(Mutant(f"whole {name}", write_bytes(name, seed.read_bytes())))
        mutants += damaged_bytes(seed, n_mutants // (1 if kinds == "h5" else 2))
    result = fuzz(mutants, use_transform)
    assert result.findings == ()
    assert result.n_opened > 0
    assert result.n_refused > n_mutants // 10


def test_itk_files_of_old_layouts(tmp_path: Path, n_mutants: int) -> None:
    """A compressed field and a composite of text, as ITK itself writes them."""
    image = sitk.GetImageFromArray(
        np.random.default_rng(2).uniform(0.01, 0.05, (9, 10, 11, 3)), isVector=True
    )
    transform = sitk.CompositeTransform(
        [sitk.Euler3DTransform(), sitk.DisplacementFieldTransform(image)]
    )
    mutants: list[Mutant] = []
    for name in ("c.h5", "c.tfm"):
        sitk.WriteTransform(transform, str(tmp_path / name))
        mutants += damaged_bytes(tmp_path / name, n_mutants // 3, random_seed=3)
    result = fuzz(mutants, use_transform)
    assert result.findings == ()
    assert result.n_opened > 0
    assert result.n_refused > 0


def use_full_field(path: Path) -> str:
    from napari_bridgecorr.io.transform_files import read_transform

    transform = read_transform(path).transform
    # the seed holds no zero, and damage to deflated numbers hardly makes one
    assert not isinstance(transform, DisplacementField) or np.all(transform.displacement_um != 0)
    return "opened"


def test_chunks_that_are_lost_are_no_zeros(tmp_path: Path, n_mutants: int) -> None:
    """Most damage meets the table of chunks, which has no checksum."""
    with h5py.File(tmp_path / "t.h5", "w", libver=("v108", "v108")) as file:
        group = file.create_group("TransformGroup/0")
        kind = "DisplacementFieldTransform_double_3_3"
        group.create_dataset("TransformType", data=[kind], dtype=h5py.string_dtype("ascii"))
        grid = [6.0, 6, 6, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0, 1]
        group.create_dataset("TransformFixedParameters", data=grid)
        values = np.random.default_rng(3).uniform(1, 2, 648)
        group.create_dataset("TransformParameters", data=values, chunks=(6,), compression=1)
    content = (tmp_path / "t.h5").read_bytes()
    tables = [at for at in range(len(content)) if content[at : at + 4] == b"TREE"]
    assert len(tables) > 1
    rng = np.random.default_rng(4)
    mutants = list(damaged_bytes(tmp_path / "t.h5", n_mutants // 2, random_seed=4))
    for number in range(n_mutants // 2):
        changed = bytearray(content)
        place = tables[number % len(tables)] + int(rng.integers(4, 400))
        changed[place] = int(rng.integers(0, 256))
        mutants.append(Mutant(f"table byte {place} {number}", write_bytes("t.h5", bytes(changed))))
    result = fuzz(mutants, use_full_field)
    assert result.findings == ()
    assert result.n_opened > 0
    assert result.n_refused > n_mutants // 10


def cut_everywhere(path: Path, step: int) -> Iterator[Mutant]:
    content = path.read_bytes()
    for end in range(0, len(content), step):
        yield Mutant(f"{path.name} cut at {end}", write_bytes(path.name, content[:end]))


def test_cut_at_every_structure(tmp_path: Path, n_mutants: int) -> None:
    mutants: list[Mutant] = []
    for name in ("t.h5", "t.mat", "TransformParameters.0.txt", "1Warp.nrrd"):
        write_transform(SEEDS[name], tmp_path / name)
        size = (tmp_path / name).stat().st_size
        mutants += cut_everywhere(tmp_path / name, max(1, size * 6 // n_mutants))
    result = fuzz(mutants, use_transform)
    assert result.findings == ()
    assert result.n_refused > result.n_opened


def texts() -> Iterator[tuple[str, str]]:
    """Text files that lie about their size, ask for other files, or hold no numbers."""
    head = "#Insight Transform File V1.0\n"
    for values in ("", "1", "nan " * 12, "1e999 " * 12, "0 " * 12, "x " * 12, "1 " * 100_000):
        yield "t.tfm", f"{head}Transform: AffineTransform_double_3_3\nParameters: {values}\n"
    for size in ("1e12 1 1", "-4 5 6", "0 5 6", "nan 1 1", "1e300 1 1", "4.5 5 6", "1e4 1e4 1e4"):
        for kind in ("DisplacementFieldTransform", "BSplineTransform"):
            yield (
                "t.tfm",
                f"{head}Transform: {kind}_double_3_3\nParameters: 1 2 3\n"
                f"FixedParameters: {size} 0 0 0 1 1 1 1 0 0 0 1 0 0 0 1\n",
            )
    yield "t.tfm", head + "Transform: CompositeTransform_double_3_3\n" * 1000
    yield "t.tfm", head + "Transform: AffineTransform_double_9_9\nParameters: 1\n"
    yield "t.tfm", head + "Transform: ../../x_3_3\nParameters: 1\n"
    base = (
        '(Transform "{kind}")\n(TransformParameters {values})\n(FixedImageDimension {d})\n'
        "(MovingImageDimension {d})\n(CenterOfRotationPoint 0 0 0)\n"
        '(InitialTransformParametersFileName "{first}")\n'
    )
    for first in (
        "/etc/passwd",
        "../x",
        "..",
        ".",
        "a\0b",
        "x" * 5000,
        "TransformParameters.0.txt",
    ):
        text = base.format(kind="TranslationTransform", values="1 2 3", d=3, first=first)
        yield "TransformParameters.0.txt", text
    for kind in ("BSplineTransform", "SplineKernelTransform", "AffineTransform", ""):
        for d in ("3", "4", "1e9", "-1", ""):
            text = base.format(kind=kind, values="1 2 3", d=d, first="NoInitialTransform")
            yield "TransformParameters.0.txt", text
    yield (
        "TransformParameters.0.txt",
        base.format(kind="BSplineTransform", values="1", d=3, first="NoInitialTransform")
        + "(GridSize 100000 100000 100000)\n(GridSpacing 1 1 1)\n(GridOrigin 0 0 0)\n",
    )
    yield "t.json", '{"format": "bridgecorr-transform"' + "[" * 100_000
    yield "t.tfm", "\0" * 1000
    yield "t.h5", "\0" * 1000


def test_lying_texts() -> None:
    mutants = [
        Mutant(f"text {n} {name}", write_bytes(name, text.encode()))
        for n, (name, text) in enumerate(texts())
    ]
    result = fuzz(mutants, use_transform)
    assert result.findings == ()
    assert result.n_opened <= 1
    assert result.n_refused >= len(mutants) - 1


def lying_hdf5(content: bytes) -> Iterator[tuple[str, bytes]]:
    """A good file in which one 8-byte length or address is absurd, its checksums made right."""
    spans = []
    at = content.find(b"OHDR")
    while at >= 0:
        flags = content[at + 5]
        start = at + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        size = int.from_bytes(content[start : start + width], "little")
        spans.append((at, start + width + size))
        at = content.find(b"OHDR", at + 4)
    rng = np.random.default_rng(5)
    while True:
        first, end = spans[int(rng.integers(0, len(spans)))]
        where = int(rng.integers(first + 4, end))
        value = int(rng.choice([0, 1, 2**31, 2**40, 2**63 - 1, 2**64 - 1, first, 48]))
        width = int(rng.choice([1, 2, 4, 8]))
        changed = bytearray(content)
        changed[where : where + width] = (value % 2 ** (8 * width)).to_bytes(width, "little")
        changed[end : end + 4] = lookup3(bytes(changed[first:end])).to_bytes(4, "little")
        yield f"{width} bytes at {where} become {value}", bytes(changed[: len(content)])


def test_hdf5_that_lies_consistently(tmp_path: Path, n_mutants: int) -> None:
    write_transform(SEEDS["t.h5"], tmp_path / "t.h5")
    content = (tmp_path / "t.h5").read_bytes()
    mutants = [
        Mutant(name, write_bytes("t.h5", changed))
        for name, changed in islice(lying_hdf5(content), n_mutants)
    ]
    result = fuzz(mutants, use_transform)
    assert result.findings == ()
    assert result.n_opened > 0
    assert result.n_refused > 0


def test_matlab_files_that_lie() -> None:
    name = b"AffineTransform_double_3_3\0"
    mutants = []
    for numbers in (
        (0, 2**31 - 1, 2**31 - 1, 0, 27),
        (0, -1, -12, 0, 27),
        (0, 12, 1, 0, 2**31 - 1),
        (0, 12, 1, 1, 27),
        (4030, 12, 1, 0, 27),
        (0, 0, 0, 0, 27),
        (1000, 12, 1, 0, 27),
    ):
        content = struct.pack("<5i", *numbers) + name + bytes(96)
        mutants.append(Mutant(f"mat {numbers}", write_bytes("t.mat", content)))
    result = fuzz(mutants, use_transform)
    assert result.findings == ()
    assert (result.n_opened, result.n_refused) == (0, len(mutants))


@dataclass(frozen=True)
class ChangedZarr:
    """Copies a scene and changes one of its files."""

    seed: Path
    file: str
    change: Callable[[bytes], bytes | None]

    def __call__(self, folder: Path) -> Path:
        path = folder / "t.ome.zarr"
        shutil.copytree(self.seed, path)
        content = self.change((path / self.file).read_bytes())
        if content is None:
            (path / self.file).unlink()
        else:
            (path / self.file).write_bytes(content)
        return path


@dataclass(frozen=True)
class Fixed:
    content: bytes | None

    def __call__(self, _: bytes) -> bytes | None:
        return self.content


HOSTILE: tuple[Any, ...] = (
    None, [], {}, "", "..", "../..", "/etc", 0, -1, 1e308, [[1e308] * 4] * 3, "nearest", [0, 0, 0],
    [1, 2], {"name": "fixed", "path": "../.."}, [[]], True, "scale", "displacements", "bijection",
    [10**12, 3, 3, 3],
)  # fmt: skip


def hostile_json(document: Any, rng: np.random.Generator) -> Any:
    """One value of a JSON document becomes a hostile one, is left out, or nests itself."""
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in list(items):
            places.append((value, key))
            if isinstance(inner, dict | list):
                walk(inner)

    copy = json.loads(json.dumps(document))
    walk(copy)
    holder, key = places[int(rng.integers(0, len(places)))]
    kind = int(rng.integers(0, 5))
    if kind == 0 and isinstance(holder, dict):
        del holder[key]
    elif kind == 1:
        nested: Any = holder[key]
        for _ in range(int(rng.integers(1, 60))):
            nested = {"type": "sequence", "transformations": [nested, nested]}
            if rng.random() < 0.5:
                nested = {"type": "sequence", "transformations": [nested["transformations"][0]]}
            if len(json.dumps(nested)) > 100_000:
                break
        holder[key] = nested
    else:
        holder[key] = HOSTILE[int(rng.integers(0, len(HOSTILE)))]
    return copy


def test_hostile_scenes(tmp_path: Path, n_mutants: int) -> None:
    seed = tmp_path / "seed.ome.zarr"
    write_transform(Chain(AFFINE, field()), seed, inverse=Chain(field(), AFFINE.inverse()))
    files = sorted(str(p.relative_to(seed)) for p in seed.rglob("*") if p.is_file())
    rng = np.random.default_rng(6)
    mutants: list[Mutant] = [Mutant("whole", ChangedZarr(seed, "zarr.json", bytes))]
    for number in range(n_mutants):
        file = files[int(rng.integers(0, len(files)))]
        content = (seed / file).read_bytes()
        if file.endswith("zarr.json") and number % 4:
            changed: bytes | None = json.dumps(hostile_json(json.loads(content), rng)).encode()
        else:
            damaged = next(iter(damaged_bytes(seed / file, 1, random_seed=number)))
            place = tmp_path / f"m{number}"
            place.mkdir()
            changed = damaged.write(place).read_bytes() if number % 8 else None
        mutants.append(Mutant(f"{file} {number}", ChangedZarr(seed, file, Fixed(changed))))
    result = fuzz(mutants, use_transform)
    assert result.findings == ()
    assert result.n_opened > 0
    assert result.n_refused > n_mutants // 10
