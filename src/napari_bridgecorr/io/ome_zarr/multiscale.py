"""One multiscale of a group as a lazy image: its levels, their grids, what is missing.

Most writers state no translation for the coarser levels of a pyramid, which would put the centres
of their first voxels on that of the full resolution's. Whether that is so, or the levels are means
(as nearly always), is measured on the pixels of the two coarsest levels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import GeometryError, ReadError
from ...geometry import Grid
from ...image import AXES, Role, Source, SpatialImage, missing_scale_warning
from ..pyramid import PROBE_PX, sampled_at_centres, textured_corner
from .chunks import presence
from .files import Folder, Unreadable
from .metadata import (
    LevelPlace,
    Multiscale,
    parse_channels,
    parse_multiscale,
    plain_name,
    safe_path,
)
from .store import StoredArray, array_axes, open_stored, read_whole
from .transforms import Misdescribed

_COPY = "copy the whole image again from its source"
_LOOK_PX = 1024
_SMALL_BYTES = 2**22
_ROLES: tuple[Role, ...] = (
    "image", "labels", "slide label", "slide preview", "optical", "panorama",
)  # fmt: skip


@dataclass
class Opening:
    """What is shared while one file is opened.

    Parameters
    ----------
    source : Source
        Of the file; images differ in name, number and axes.
    centred : dict
        Whether levels were found to be centred, by their ratios: the fields of a plate were all
        written by one program.
    described : (JSON value, Multiscale) or None
        The last document and what it says.
    is_plate : bool
        Whether these are to be used.
    """

    source: Source
    centred: dict[Any, bool] = field(default_factory=dict)
    described: tuple[Any, Multiscale] | None = None
    is_plate: bool = False


def read_multiscales(
    opening: Opening, group: Folder, ome: Mapping[str, Any], own: Any
) -> list[SpatialImage]:
    """Every multiscale of a group.

    Parameters
    ----------
    opening : Opening
    group : Folder
    ome : mapping
        Its OME metadata.
    own : JSON value
        Its attribute ``bridgecorr``, if any.

    Raises
    ------
    ReadError
    """
    place = opening.source.location
    found = ome.get("multiscales")
    if not isinstance(found, list) or not found:
        raise ReadError(place, "its list of multiscales is empty", _COPY)
    if len(found) > 1000:
        raise ReadError(place, f"it lists {len(found)} multiscales, which is absurd", _COPY)
    images = []
    for i, document in enumerate(found):
        try:
            multiscale = _described(opening, group, document)
            version = ome.get("version") or document.get("version") or ""
            version = version if isinstance(version, str) else ""
            source = replace(
                opening.source,
                format=f"OME-Zarr {version}".strip(),
                image_name=plain_name(multiscale.name),
            )
            # what our writer says belongs to the one image that it stores
            stored = own if i == 0 and isinstance(own, Mapping) else {}
            images.append(_image(opening, group, multiscale, source, ome.get("omero"), stored))
        except (Misdescribed, Unreadable) as error:
            raise ReadError(place, str(error), _COPY) from error
        except GeometryError as error:
            raise ReadError(
                place, f"its geometry is absurd: {error}", "mend the metadata"
            ) from error
    return images


def _described(opening: Opening, group: Folder, document: Any) -> Multiscale:
    """The parsed document, which the fields of a plate have in common."""
    known = opening.described
    is_alike = opening.is_plate and known is not None and known[0] == document
    if known is not None and is_alike:
        return known[1]
    multiscale = parse_multiscale(
        document, lambda path: read_whole(group / safe_path(path)), _n_axes(group, document)
    )
    # 0.6 may keep matrices in arrays of the field's own
    if isinstance(document, Mapping) and "axes" in document:
        opening.described = (document, multiscale)
    return multiscale


def _n_axes(group: Folder, document: Any) -> int | None:
    """Axes of the stored array, for versions that do not describe them."""
    if not isinstance(document, Mapping) or {"axes", "coordinateSystems"} & set(document):
        return None
    datasets = document.get("datasets")
    for dataset in datasets if isinstance(datasets, list) else []:
        if isinstance(dataset, Mapping):
            return array_axes(group / safe_path(dataset.get("path")))
    return None


@dataclass(frozen=True, eq=False)
class _Level:
    number: int
    stored: StoredArray
    place: LevelPlace


def _image(
    opening: Opening,
    group: Folder,
    multiscale: Multiscale,
    source: Source,
    omero: Any,
    exact: Mapping[str, Any],
) -> SpatialImage:
    levels, warnings = _levels(group, multiscale)
    warnings += multiscale.notes
    known, stated = _known(multiscale, exact)
    matrices = _matrices(opening, levels, multiscale)
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
    if _is_black(opening, levels[-1].stored):
        warnings.append("every voxel of its coarsest level is 0; is the copy whole?")
    return SpatialImage(
        levels=tuple(level.stored.lazily() for level in levels),
        grids=tuple(
            Grid((s.shape[2], s.shape[3], s.shape[4]), matrix)
            for s, matrix in zip((lv.stored for lv in levels), matrices, strict=True)
        ),
        channels=parse_channels(omero, levels[0].stored.shape[1], exact.get("channels")),
        source=replace(
            source,
            axes="".join(a for a in AXES if a in multiscale.axes),
            role=next((r for r in _ROLES if r == exact.get("role")), "image"),
        ),
        metadata=_own_metadata(exact),
        voxel_size_known=known,
        time_step_s=multiscale.time_step_s,
        warnings=tuple(warnings),
    )


def _own_metadata(exact: Mapping[str, Any]) -> dict[str, Any]:
    """What our writer states besides."""
    found: dict[str, Any] = {"is_label": True} if exact.get("is_label") is True else {}
    if isinstance(exact.get("outside_value"), int):
        found["outside_value"] = exact["outside_value"]
    return found


def _is_black(opening: Opening, coarsest: StoredArray) -> bool:
    """Whether a small coarsest level holds nothing but zeros, as a copy with holes does."""
    n_bytes = coarsest.dtype.itemsize * math.prod(coarsest.shape)
    # the fields of a plate, or a slow server, are not read for it
    if opening.is_plate or coarsest.folder.files.is_remote or n_bytes > _SMALL_BYTES:
        return False
    try:
        return not coarsest[:].any()
    except ReadError:
        return False


def _known(
    multiscale: Multiscale, exact: Mapping[str, Any]
) -> tuple[tuple[bool, bool, bool], tuple[bool, bool, bool]]:
    """Whether the spacing along z, y, x is known, and whether the file states a number for it."""
    has_scale = any(p.index_to_world is not None for p in multiscale.levels)
    lengths = set(multiscale.axes) - set(multiscale.without_length)
    z, y, x = (has_scale and a in lengths for a in "zyx")
    stored = exact.get("voxel_size_known")
    if isinstance(stored, list) and len(stored) == 3:
        # our writer states the number 1 without a unit where the spacing was never known
        known = (stored[0] is True, stored[1] is True, stored[2] is True)
        return known, (z and known[0], y and known[1], x and known[2])
    return (z, y, x), (z, y, x)


def _levels(group: Folder, multiscale: Multiscale) -> tuple[list[_Level], list[str]]:
    """The levels that can be used, finest first, and why others cannot."""
    found: list[_Level] = []
    warnings: list[str] = []
    empty = ""
    for number, place in enumerate(multiscale.levels):
        try:
            stored = open_stored(group / place.path, multiscale.axes)
            there = presence(stored)
        except (Unreadable, OSError) as error:
            warnings.append(f"level {number} is left out: {error}")
            continue
        if there.is_empty:
            # legal where everything is the fill value; but far oftener a copy without its chunks
            empty = empty or f"none of its {there.n_all} chunks is there"
            warnings.append(f"level {number} holds no data and is left out; is the copy whole?")
            continue
        if there.n_missing:
            looked = "" if there.n_expected == there.n_all else " that were looked for"
            warnings.append(
                f"level {number}: {there.n_missing} of {there.n_expected} chunks{looked} are not "
                f"in the file and are shown as {stored.fill_value!s}; is the copy whole?"
            )
        found.append(_Level(number, stored, place))
    if not found:
        raise Unreadable(f"it holds no pixels ({empty})" if empty else warnings[0])
    first = found[0].stored
    kept = []
    for level in found:
        same = level.stored.dtype == first.dtype and level.stored.shape[:2] == first.shape[:2]
        shrinks = all(n <= m for n, m in zip(level.stored.shape[2:], first.shape[2:], strict=True))
        if same and shrinks:
            kept.append(level)
        else:
            warnings.append(f"level {level.number} is left out: it does not fit the level above")
    return kept, warnings


def _matrices(
    opening: Opening, levels: Sequence[_Level], multiscale: Multiscale
) -> list[NDArray[np.float64]]:
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
    key = str([ratio.tolist() for ratio in ratios])
    if key not in opening.centred or not opening.is_plate:
        opening.centred[key] = _centred(levels, ratios)
    shift = 0.5 if opening.centred[key] else 0.0
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
    if len(levels) < 2:
        return True
    fine, coarse = levels[-2].stored, levels[-1].stored
    step = np.asarray(ratios[-1] / ratios[-2])
    f = np.rint(step).astype(int)
    if np.any(np.abs(step - f) > 1e-6) or f[1] != f[2] or not 2 <= f[1] <= 16 or f[0] > 16:
        return True
    try:
        return _is_centred(fine, coarse, f)
    except ReadError:
        # who looks at the damaged part will be told; the rest can be seen
        return True


def _is_centred(fine: StoredArray, coarse: StoredArray, f: NDArray[np.int_]) -> bool:
    """Compare a patch of two levels, the coarser by whole factors (z, y, x)."""
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
    volume = fine[(0, 0, planes, *under)]
    if volume.size == 0 or patch.size == 0:
        return True
    beneath = volume.mean(axis=0, dtype=np.float64)
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
    # the finest as it was, without a rounding error
    inverse = np.linalg.inv(finest)
    return [exact if m is finest else exact @ inverse @ m for m in matrices], []
