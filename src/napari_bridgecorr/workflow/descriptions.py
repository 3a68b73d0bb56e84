"""What is in a file of landmarks or a transform, in a few plain values; images: `io.describe`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..io.landmark_files import (
    WITHOUT_UNIT,
    LandmarkFileOptions,
    LandmarkFormat,
    landmark_format_of,
    read_landmark_file,
)
from ..io.transform_files import read_transform
from ..transform import Chain, Transform

FORMAT_WORDS: dict[LandmarkFormat, str] = {
    "bridgecorr_csv": "Landmark pairs",
    "bigwarp_csv": "Landmark pairs of BigWarp",
    "slicer_fcsv": "Points of 3D Slicer (.fcsv)",
    "slicer_json": "Points of 3D Slicer (.mrk.json)",
    "slicer_table": "Points of 3D Slicer (table)",
    "napari_csv": "Points of napari",
    "points_csv": "Points (µm)",
    "plain_csv": "Points of a table",
}


def describe_landmarks(path: Path) -> dict[str, Any]:
    """Counts of a landmark file, ready for JSON.

    Returns
    -------
    dict
        ``{"file", "format", "images": [], "landmarks": {"n", "n_pairs", "n_disabled",
        "unit_is_stated", "warnings"}}``; `n_pairs` have both sides.

    Raises
    ------
    ReadError
    """
    # counts do not depend on the unit that some formats leave open
    needs_unit = landmark_format_of(path) in WITHOUT_UNIT
    file = read_landmark_file(path, LandmarkFileOptions("um") if needs_unit else None)
    every = list(file.landmarks)
    return {
        "file": str(path),
        "format": file.format,
        "images": [],
        "landmarks": {
            "n": len(every),
            "n_pairs": sum(m.fixed_um is not None and m.moving_um is not None for m in every),
            "n_disabled": sum(not m.enabled for m in every),
            "unit_is_stated": not needs_unit,
            "warnings": list(file.warnings),
        },
    }


def describe_transform(path: Path) -> dict[str, Any]:
    """Kind of a transform file, ready for JSON.

    Returns
    -------
    dict
        ``{"file", "format", "images": [], "transform": {"types", "model", "n_landmarks",
        "is_exact", "warnings"}}``; `types` lists a chain's parts, first applied first.

    Raises
    ------
    ReadError
    """
    file = read_transform(path)
    return {
        "file": str(path),
        "format": file.format,
        "images": [],
        "transform": {
            "types": _types(file.transform),
            "model": file.model,
            "n_landmarks": None if file.pairs is None else len(file.pairs.ids),
            "is_exact": file.transform.is_exact,
            "warnings": list(file.warnings),
        },
    }


def _types(transform: Transform) -> list[str]:
    if isinstance(transform, Chain):
        return [name for part in transform.transforms for name in _types(part)]
    return [type(transform).__name__]


def format_landmarks(description: dict[str, Any]) -> str:
    """The text that a person reads, from the values of :func:`describe_landmarks`."""
    said = description["landmarks"]
    counted = f"{said['n']} landmarks, {said['n_pairs']} of them pairs"
    if said["n_disabled"]:
        counted += f", {said['n_disabled']} disabled"
    lines = [description["file"], f"{FORMAT_WORDS[description['format']]}: {counted}"]
    if not said["unit_is_stated"]:
        lines.append("    unit         not in the file: say it with --unit")
    return "\n".join([*lines, *(f"    ! {warning}" for warning in said["warnings"])])


def format_transform(description: dict[str, Any]) -> str:
    """The text that a person reads, from the values of :func:`describe_transform`."""
    said = description["transform"]
    lines = [description["file"], f"{description['format']}: {', then '.join(said['types'])}"]
    if said["model"]:
        lines.append(f"    fitted       {said['model']} to {said['n_landmarks']} landmarks")
    return "\n".join([*lines, *(f"    ! {warning}" for warning in said["warnings"])])
