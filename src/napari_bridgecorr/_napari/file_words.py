"""The words of the File panel: an image, its place and its size, for a biologist."""

from __future__ import annotations

import re

from ..image import SpatialImage
from ..workflow.files import (
    ImageChoice,
    is_flat,
    n_bytes,
    unknown_axes,
)

UNKNOWN = "?"
_STEP = 1000.0


def size_words(image: SpatialImage) -> str:
    """``3 × 122 × 295 · 2 channels · 5 times``."""
    shape = image.grid.shape[1:] if is_flat(image) else image.grid.shape
    parts = [" × ".join(f"{n:,}".replace(",", "\u202f") for n in shape)]
    if len(image.channels) > 1:
        parts.append(f"{len(image.channels)} channels")
    if image.n_times > 1:
        parts.append(f"{image.n_times} times")
    return " · ".join(parts)


def voxel_words(image: SpatialImage) -> str:
    """``12 × 0.5 × 0.5 µm``; a question mark where the file does not say."""
    unknown = unknown_axes(image)
    sizes = [
        UNKNOWN if not known else number_words(size)
        for size, known in zip(image.grid.voxel_size_um, (not u for u in unknown), strict=True)
    ]
    return " × ".join(sizes[1:] if is_flat(image) else sizes) + " µm"


def number_words(value: float) -> str:
    """A number as a person would write it."""
    return f"{value:.6g}"


def bytes_words(n: float) -> str:
    """``12 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if n < _STEP:
            return f"{n:.0f} {unit}" if n >= 10 or unit == "B" else f"{n:.1f} {unit}"
        n /= _STEP
    return f"{n:.1f} TB"


def fact_rows(image: SpatialImage, choice: ImageChoice) -> list[tuple[str, str]]:
    """What the details list of an image: label and value."""
    z, y, x = (f"{v + 0.0:.5g}" for v in image.grid.index_to_world[:3, 3])
    rows = [
        ("Size", size_words(image)),
        ("Data", f"{image.dtype.name}, {bytes_words(n_bytes(image, choice))}"),
        ("Place", f"first voxel at z {z}, y {y}, x {x} µm"),
    ]
    if len(image.levels) > 1:
        coarsest = " × ".join(str(n) for n in image.grids[-1].shape[1:])
        rows.append(("Levels", f"{len(image.levels)}, the coarsest {coarsest}"))
    if image.time_step_s is not None and image.n_times > 1:
        rows.append(("Time step", f"{number_words(image.time_step_s)} s"))
    return rows


def warning_words(text: str) -> str:
    """A reader's warning with the window's remedy instead of the command line's."""
    text = text.replace("state it with --spacing z,y,x", "type it under Voxel size")
    text = re.sub(
        r"(in um )?with --spacing ([\d.,e+-]+)",
        lambda m: "under Voxel size: " + m[2].replace(",", ", ") + " µm",
        text,
    )
    return text[:1].upper() + text[1:]


def landmark_words(text: str) -> str:
    """What a landmark reader says, with the window's remedies instead of the command line's."""
    text = re.sub(
        r"give the images (.*) \(--fixed-image, --moving-image\)",
        r"open the images before this file \1",
        text,
    )
    text = re.sub(r"say it: --unit .*", "choose it above", text)
    text = text.replace("with --dimensions 2", "with 2 dimensions")
    if "--columns" in text:
        text = re.sub(
            r"(say which is which|name the column of the other): --columns.*",
            "name its columns fixed_z, fixed_y, fixed_x, moving_z, moving_y, moving_x",
            text,
        )
    text = re.sub(r",? ?\(?--(fixed|moving)-image\)?", "", text)
    return text[:1].upper() + text[1:]


def load_words(images: tuple[SpatialImage, ...], choices: tuple[ImageChoice, ...]) -> str:
    """What the Load button says it will do."""
    wanted = [c for c in choices if c.is_wanted]
    if not wanted:
        return "Load"
    n_channels = sum(
        len(images[c.number].channels) if c.channels is None else len(c.channels) for c in wanted
    )
    what = "image" if len(wanted) == 1 else f"{len(wanted)} images"
    channels = f", {n_channels} channels" if n_channels > len(wanted) else ""
    size = bytes_words(sum(n_bytes(images[c.number], c) for c in wanted))
    return f"Load {what}{channels}  ({size})"
