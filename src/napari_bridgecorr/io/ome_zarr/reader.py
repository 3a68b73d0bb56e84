"""Reader of OME-Zarr folders (0.1 to 0.5, and the affine part of 0.6-dev): lazy images.

Most writers state no translation for the coarser levels of a pyramid, which would put the centres
of their first voxels on that of the full resolution's. Whether that is so, or the levels are means
(as nearly always), is measured on the pixels of the two coarsest levels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import GeometryError, ReadError
from ...geometry import Grid
from ...image import AXES, Source, SpatialImage, missing_scale_warning
from ..pyramid import PROBE_PX, sampled_at_centres, textured_corner
from ..reader import Claim
from .metadata import (
    LevelPlace,
    Misdescribed,
    Multiscale,
    parse_channels,
    parse_multiscale,
    safe_path,
)
from .store import StoredArray, Unreadable, attributes, has_chunks, open_stored
from .write import write_ome_zarr

__all__ = ["OmeZarrReader", "write_ome_zarr"]

_MARKERS = ("zarr.json", ".zattrs", ".zgroup", ".zarray")
_COPY = "copy the whole folder again from its source"
_LOOK_PX = 1024
_MOST_LISTED = 6
_DEEPEST = 4


class OmeZarrReader:
    """Reader of OME-Zarr folders: one image per multiscale, then the label images."""

    format_name = "OME-Zarr"
    patterns = ("*.zarr", "*.ome.zarr")

    def claim(self, path: Path) -> Claim:
        """Whether the folder is a Zarr group, by its name and what lies in it."""
        if path.suffix.lower() == ".zarr":
            return Claim(True, "the name ends in .zarr")
        try:
            if path.is_dir() and any((path / name).is_file() for name in _MARKERS):
                return Claim(True, "Zarr metadata is in the folder")
        except OSError as error:
            return Claim(False, f"it cannot be opened ({error.strerror})")
        return Claim(False, "it is no folder with Zarr metadata")

    def read(self, path: Path) -> tuple[SpatialImage, ...]:
        """Every image of the group, lazily.

        Raises
        ------
        ReadError
            If it is no OME-Zarr, is damaged, or describes itself absurdly.
        """
        if path.is_file():
            raise ReadError(path, "it is a file, not an OME-Zarr folder", "unpack it first")
        if not path.is_dir():
            raise ReadError(path, "there is no such folder", "check the path")
        try:
            images = _read_group(path, path)
        except OSError as error:
            raise ReadError(path, str(error), "check that the folder can be read") from error
        return tuple(
            replace(image, source=replace(image.source, path=path, image_index=i))
            for i, image in enumerate(images)
        )


def _read_group(path: Path, group: Path) -> list[SpatialImage]:
    """Images of a group; `path` is what the user named."""
    # a plate's wells' fields are two deep; a folder linked into itself has no end
    if len(group.parts) - len(path.parts) > _DEEPEST:
        raise ReadError(path, "its groups are nested without end", "open one of them")
    try:
        found = attributes(group)
    except Unreadable as error:
        raise ReadError(path, str(error), "open the folder that holds the OME metadata") from error
    ome = found.get("ome", found)
    if not isinstance(ome, Mapping):
        raise ReadError(path, "its OME metadata is no JSON object", _COPY)
    if "multiscales" in ome:
        images = _multiscales(path, group, ome, found.get("bridgecorr"))
        return images + _labels(path, group, images)
    if "plate" in ome:
        raise ReadError(path, f"it is a plate{_wells(ome['plate'])}", "open one field of a well")
    if "well" in ome:
        well = ome["well"]
        listed = well.get("images") if isinstance(well, Mapping) else None
        entries = listed if isinstance(listed, list) else []
        return _children(path, group, [e.get("path") for e in entries if isinstance(e, Mapping)])
    if "bioformats2raw.layout" in ome:
        return _children(path, group, _series(group))
    raise ReadError(path, "it has no OME-Zarr metadata (multiscales)", "open an OME-Zarr image")


def _wells(plate: Any) -> str:
    listed = plate.get("wells") if isinstance(plate, Mapping) else None
    paths = [str(w.get("path")) for w in listed or [] if isinstance(w, Mapping)]
    if not paths:
        return ""
    more = ", ..." if len(paths) > _MOST_LISTED else ""
    names = ", ".join(f"{p}/0" for p in paths[:_MOST_LISTED])
    return f" of {len(paths)} wells, whose first fields are {names}{more}"


def _series(group: Path) -> list[Any]:
    try:
        found = attributes(group / "OME")
    except Unreadable:
        found = {}
    ome = found.get("ome", found)
    series = ome.get("series") if isinstance(ome, Mapping) else None
    if isinstance(series, list) and series:
        return series
    return sorted((p.name for p in group.iterdir() if p.name.isdigit() and p.is_dir()), key=int)


def _children(path: Path, group: Path, names: Iterable[Any]) -> list[SpatialImage]:
    """Images of several groups; one that cannot be read is left out with a warning."""
    images: list[SpatialImage] = []
    faults: list[str] = []
    for name in names:
        try:
            images += _read_group(path, group / safe_path(name))
        except Misdescribed as error:
            faults.append(str(error))
        except ReadError as error:
            faults.append(f"image {name!r} is left out: {error.fault}")
    if not images:
        raise ReadError(path, faults[0] if faults else "it holds no image", _COPY)
    return [_warned(images[0], faults), *images[1:]]


def _labels(path: Path, group: Path, images: list[SpatialImage]) -> list[SpatialImage]:
    """Label images beside the intensities. Broken ones cost a warning, not the image."""
    folder = group / "labels"
    if not folder.is_dir():
        return []
    faults: list[str] = []
    labels: list[SpatialImage] = []
    try:
        found = attributes(folder)
    except Unreadable as error:
        faults.append(f"the labels are left out: {error}")
        found = {}
    ome = found.get("ome", found)
    listed = ome.get("labels") if isinstance(ome, Mapping) else None
    for name in listed if isinstance(listed, list) else []:
        try:
            inner = attributes(folder / safe_path(name))
            described = inner.get("ome", inner)
            described = described if isinstance(described, Mapping) else {}
            for image in _multiscales(
                path, folder / safe_path(name), described, inner.get("bridgecorr")
            ):
                source = replace(image.source, image_name=str(name))
                metadata = {**image.metadata, "is_label": True}
                labels.append(replace(image, source=source, metadata=metadata))
        except (Unreadable, Misdescribed) as error:
            faults.append(f"the labels {name!r} are left out: {error}")
        except ReadError as error:
            faults.append(f"the labels {name!r} are left out: {error.fault}")
    images[0] = _warned(images[0], faults)
    return labels


def _warned(image: SpatialImage, faults: Sequence[str]) -> SpatialImage:
    return replace(image, warnings=(*image.warnings, *faults)) if faults else image


def _multiscales(path: Path, group: Path, ome: Mapping[str, Any], exact: Any) -> list[SpatialImage]:
    listed = ome.get("multiscales")
    if not isinstance(listed, list) or not listed:
        raise ReadError(path, "its list of multiscales is empty", _COPY)
    images = []
    for i, document in enumerate(listed):
        try:
            multiscale = parse_multiscale(document)
            version = ome.get("version") or document.get("version") or ""
            source = Source(path, f"OME-Zarr {version}".strip(), i, multiscale.name)
            # the exact affine belongs to the one image that our writer stores
            stored = exact if i == 0 and isinstance(exact, Mapping) else {}
            images.append(_image(group, multiscale, source, ome.get("omero"), stored))
        except (Misdescribed, Unreadable) as error:
            raise ReadError(path, str(error), _COPY) from error
        except GeometryError as error:
            raise ReadError(
                path, f"its geometry is absurd: {error}", "mend the metadata"
            ) from error
    return images


@dataclass(frozen=True, eq=False)
class _Level:
    number: int
    stored: StoredArray
    place: LevelPlace
    has_data: bool


def _image(
    group: Path,
    multiscale: Multiscale,
    source: Source,
    omero: Any,
    exact: Mapping[str, Any],
) -> SpatialImage:
    levels, warnings = _levels(group, multiscale)
    known, stated = _known(multiscale, exact)
    matrices = _matrices(levels, multiscale)
    if "index_to_world" in exact:
        matrices, warning = _exact(matrices, multiscale, exact["index_to_world"])
        warnings += warning
    missing = "".join(
        a
        for a, k, n in zip("zyx", known, levels[0].stored.shape[2:], strict=True)
        if not k and (a != "z" or n > 1)
    )
    if missing:
        warnings.append(missing_scale_warning(missing))
    without_unit = "".join(a for a in multiscale.without_unit if stated["zyx".index(a)])
    if without_unit:
        axes = ", ".join(without_unit)
        warnings.append(f"no unit along {axes} in the file: micrometres are assumed")
    return SpatialImage(
        levels=tuple(level.stored.lazily() for level in levels),
        grids=tuple(
            Grid((s.shape[2], s.shape[3], s.shape[4]), matrix)
            for s, matrix in zip((lv.stored for lv in levels), matrices, strict=True)
        ),
        channels=parse_channels(omero, levels[0].stored.shape[1]),
        source=replace(source, axes="".join(a for a in AXES if a in multiscale.axes)),
        voxel_size_known=known,
        time_step_s=multiscale.time_step_s,
        metadata={"is_label": True} if exact.get("is_label") is True else {},
        warnings=tuple(warnings),
    )


def _known(
    multiscale: Multiscale, exact: Mapping[str, Any]
) -> tuple[tuple[bool, bool, bool], tuple[bool, bool, bool]]:
    """Whether the spacing along z, y, x is known, and whether the file states a number for it."""
    has_scale = any(p.index_to_world is not None for p in multiscale.levels)
    z, y, x = (has_scale and a in multiscale.axes for a in "zyx")
    stored = exact.get("voxel_size_known")
    if isinstance(stored, list) and len(stored) == 3:
        # our writer states the number 1 without a unit where the spacing was never known
        known = (stored[0] is True, stored[1] is True, stored[2] is True)
        return known, (z and known[0], y and known[1], x and known[2])
    return (z, y, x), (z, y, x)


def _levels(group: Path, multiscale: Multiscale) -> tuple[list[_Level], list[str]]:
    """The levels that can be used, finest first, and why others cannot."""
    found: list[_Level] = []
    warnings: list[str] = []
    for number, place in enumerate(multiscale.levels):
        folder = group / place.path
        try:
            stored = open_stored(folder, multiscale.axes)
        except Unreadable as error:
            warnings.append(f"level {number} is left out: {error}")
            continue
        found.append(_Level(number, stored, place, has_chunks(folder)))
    if not found:
        raise Unreadable(warnings[0])
    holding = [level for level in found if level.has_data]
    if not holding:
        # legal where everything is the fill value; but far oftener a copy without its chunks
        warnings.append(
            "no level holds data on disk: every voxel reads as the fill value; is the copy whole?"
        )
        holding = found
    for level in found:
        if level not in holding:
            warnings.append(
                f"level {level.number} holds no data on disk and is left out; is the copy whole?"
            )
    first = holding[0].stored
    kept = []
    for level in holding:
        same = level.stored.dtype == first.dtype and level.stored.shape[:2] == first.shape[:2]
        shrinks = all(n <= m for n, m in zip(level.stored.shape[2:], first.shape[2:], strict=True))
        if same and shrinks:
            kept.append(level)
        else:
            warnings.append(f"level {level.number} is left out: it does not fit the level above")
    return kept, warnings


def _matrices(levels: Sequence[_Level], multiscale: Multiscale) -> list[NDArray[np.float64]]:
    """Index to world of each level, where the file states it and where it does not."""
    stated = [level.place.index_to_world for level in levels]
    if all(m is not None for m in stated) and any(p.translated for p in multiscale.levels):
        return [m for m in stated if m is not None]
    finest = multiscale.levels[0].index_to_world
    base = np.eye(4) if finest is None else finest
    shape = np.array(levels[0].stored.shape[2:], dtype=np.float64)
    ratios = []
    for level, matrix in zip(levels, stated, strict=True):
        if matrix is not None and finest is not None:
            ratios.append(_norms(matrix) / _norms(finest))
        else:
            ratio = shape / np.array(level.stored.shape[2:])
            # 1000 -> 333 is a third, whatever became of the last voxel
            nearest = np.maximum(1, np.rint(ratio))
            ratios.append(np.where(np.abs(ratio - nearest) < 0.1 * nearest, nearest, ratio))
    shift = 0.5 if _centred(levels, ratios) else 0.0
    matrices = []
    for ratio in ratios:
        step = np.diag([*ratio, 1.0])
        step[:3, 3] = (ratio - 1) * shift
        matrices.append(base @ step)
    return matrices


def _norms(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    norms: NDArray[np.float64] = np.linalg.norm(matrix[:3, :3], axis=0)
    if np.any(norms == 0):
        raise Misdescribed("its scale is zero along an axis")
    return norms


def _centred(levels: Sequence[_Level], ratios: Sequence[NDArray[np.float64]]) -> bool:
    """Whether coarse voxels lie in the middle of the fine ones that they stand for."""
    if len(levels) < 2 or not levels[-1].has_data:
        return True
    fine, coarse = levels[-2].stored, levels[-1].stored
    step = np.asarray(ratios[-1] / ratios[-2])
    f = np.rint(step).astype(int)
    if np.any(np.abs(step - f) > 1e-6) or f[1] != f[2] or f[1] < 2:
        return True
    z = coarse.shape[2] // 2
    corner = [max(0, (n - _LOOK_PX) // 2) for n in coarse.shape[3:]]
    look = tuple(slice(c, c + _LOOK_PX) for c in corner)
    y, x = textured_corner(coarse[(0, 0, z, *look)])
    rows, columns = (
        # what lies below the fine level's edge cannot be compared
        slice(c + o, min(c + o + PROBE_PX, m // int(f[1]), n))
        for c, o, n, m in zip(corner, (y, x), coarse.shape[3:], fine.shape[3:], strict=True)
    )
    patch = coarse[0, 0, z, rows, columns]
    step_z, step_yx = int(f[0]), int(f[1])
    under = tuple(slice(s.start * step_yx, s.stop * step_yx) for s in (rows, columns))
    planes = slice(z * step_z, (z + 1) * step_z)
    beneath = fine[(0, 0, planes, *under)].mean(axis=0, dtype=np.float64)
    return sampled_at_centres(beneath, patch, int(f[1])) is not False


def _exact(
    matrices: list[NDArray[np.float64]], multiscale: Multiscale, stored: Any
) -> tuple[list[NDArray[np.float64]], list[str]]:
    """Put our writer's exact affine in the place of the scale and translation of level 0."""
    try:
        exact = np.array(stored, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise Misdescribed("its affine (attribute bridgecorr) is not made of numbers") from error
    if exact.shape != (4, 4) or not np.all(np.isfinite(exact)):
        raise Misdescribed("its affine (attribute bridgecorr) is no 4 x 4 matrix of numbers")
    finest = multiscale.levels[0].index_to_world
    if finest is None:
        return matrices, []
    present = [a in multiscale.axes for a in "zyx"]
    if not np.allclose(_norms(exact)[present], _norms(finest)[present], rtol=1e-6, atol=0):
        note = "the voxel size was changed after the image was written: its rotation is dropped"
        return matrices, [note]
    return [exact @ np.linalg.inv(finest) @ m for m in matrices], []
