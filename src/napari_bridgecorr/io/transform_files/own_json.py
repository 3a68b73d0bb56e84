"""Transforms as JSON files, with the fit that they came from."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import FitError, ReadError, TransformError, one_line
from ...fitting import Fit, FitOptions
from ...fitting.checks import check_pairs
from ...fitting.options import check_options
from ...landmarks import LandmarkPairs
from ...transform import Transform, transform_from_dict
from ..atomic import write_text
from .transform_file import TransformFile

FORMAT = "bridgecorr-transform"
VERSION = 1
DIRECTION = "fixed_to_moving"


def transform_document(transform: Transform) -> dict[str, Any]:
    """The document of a transform alone."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "direction": DIRECTION,
        "transform": transform.to_dict(),
    }


def fit_document(fit: Fit) -> dict[str, Any]:
    """The document of a fitted transform: landmarks, options and diagnostics stand beside it."""
    return {
        **transform_document(fit.transform),
        "fit": {
            "model": fit.options.model,
            "smoothing_asked": fit.options.smoothing,
            "smoothing": fit.smoothing_um,
            "dimensions": fit.options.dimensions,
            "options": asdict(fit.options),
            "landmarks": {
                "id": list(fit.pairs.ids),
                "fixed_um": fit.pairs.fixed_um.tolist(),
                "moving_um": fit.pairs.moving_um.tolist(),
                "weight": fit.pairs.weights.tolist(),
            },
            "suspects": [asdict(s) for s in fit.suspects],
            "left_out": list(fit.left_out),
            "diagnostics": fit.diagnostics.to_dict(),
            "warnings": list(fit.warnings),
        },
    }


def write_document(document: dict[str, Any], path: Path) -> None:
    """Write a document atomically."""
    write_text(path, json.dumps(document, indent=1, allow_nan=False) + "\n")


def write_fit(fit: Fit, path: Path) -> None:
    """Write a fitted transform with its landmarks, options and diagnostics beside it (``.json``).

    Raises
    ------
    WriteError
        If the folder cannot be written to.
    """
    write_document(fit_document(fit), path)


def read_own_json(path: Path) -> TransformFile:
    """Read a transform file of this project.

    Raises
    ------
    ReadError
        If the file is not a transform of ours, is damaged, or maps the other way.
    """
    return file_of_document(read_json_object(path), path)


def file_of_document(document: dict[str, Any], path: Path = Path("transform")) -> TransformFile:
    """What a file with this document says; `path` is named where it is damaged.

    Raises
    ------
    ReadError
        As :func:`read_own_json`.
    """
    if document.get("format") != FORMAT:
        raise ReadError(path, "it is not a bridgecorr transform", "write one with `bridgecorr fit`")
    if document.get("version") != VERSION:
        raise ReadError(
            path, f"its version is {document.get('version')!r}, not {VERSION}", "update bridgecorr"
        )
    if document.get("direction") != DIRECTION:
        raise ReadError(
            path,
            f"its direction is {document.get('direction')!r}, not {DIRECTION!r}",
            "write the transform in the direction fixed to moving",
        )
    try:
        transform = transform_from_dict(document.get("transform"))
        model, pairs, dimensions = _fit_part(document.get("fit"))
        held_out = None
        if document.get("fit") is None:
            pairs, held_out = _refine_part(document.get("refine"))
        options = _options_part(document.get("fit"))
    except TransformError as error:
        raise ReadError(path, str(error), "write the transform again") from error
    except OverflowError as error:  # numbers of hundreds of digits, an infinite size
        raise ReadError(path, f"it is damaged ({error})", "write the transform again") from error
    except (KeyError, TypeError, ValueError, FitError) as error:
        raise ReadError(
            path, f"the record of its fit is damaged ({one_line(error)})", "fit again"
        ) from error
    return TransformFile(
        transform, model, pairs, dimensions, document, options=options, held_out_um=held_out
    )


def read_json_object(path: Path) -> dict[str, Any]:
    """A JSON file that holds one object.

    Raises
    ------
    ReadError
        If it cannot be opened or is not JSON.
    """
    try:
        if path.is_dir():
            raise ReadError(path, "it is a folder", "give a JSON file")
        if path.exists() and not path.is_file():
            # a pipe would be waited for, a device read, without end
            raise ReadError(path, "it is not a file", "give a JSON file")
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ReadError(path, "there is no such file", "check the path") from error
    except OSError as error:
        raise ReadError(path, f"it cannot be opened ({error.strerror})", "check it") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, a number without end
        raise ReadError(path, f"it is not JSON ({one_line(error)})", "write it again") from error
    if not isinstance(document, dict):
        raise ReadError(path, "it does not hold a JSON object", "write it again")
    return document


def _refine_part(part: Any) -> tuple[LandmarkPairs | None, NDArray[np.float64] | None]:
    """The landmarks that took part in a refinement, and its errors at left-out ones."""
    if part is None or part.get("landmarks") is None:
        return None, None
    pairs = _pairs(part["landmarks"])
    if not part.get("held_out_error_um"):
        return pairs, None
    errors = np.array(part["held_out_error_um"], dtype=np.float64)
    if errors.ndim != 2 or errors.shape[1] != 3 or not np.isfinite(errors).all():
        raise ValueError("the errors at left-out landmarks are not numbers along z, y, x")
    return pairs, errors


def _fit_part(part: Any) -> tuple[str | None, LandmarkPairs | None, int]:
    if part is None:
        return None, None, 3
    pairs = _pairs(part["landmarks"])
    model, dimensions = str(part["model"]), int(part["dimensions"])
    check_pairs(pairs, model, dimensions)
    return model, pairs, dimensions


def _pairs(marks: Any) -> LandmarkPairs:
    fixed = np.array(marks["fixed_um"], dtype=np.float64).reshape(-1, 3)
    moving = np.array(marks["moving_um"], dtype=np.float64).reshape(-1, 3)
    ids = tuple(str(i) for i in marks["id"])
    if not len(ids) == len(fixed) == len(moving):
        raise ValueError("ids and positions differ in number")
    weights = np.array(marks.get("weight", np.ones(len(ids))), dtype=np.float64)
    if weights.shape != (len(ids),):
        raise ValueError("ids and weights differ in number")
    return LandmarkPairs(ids, fixed, moving, weights)


def _options_part(part: Any) -> FitOptions | None:
    if part is None:
        return None
    known = {f.name for f in fields(FitOptions)}
    asked = {k: v for k, v in part.get("options", {}).items() if k in known}
    for name in ("fixed_sigma_um", "moving_sigma_um"):
        if asked.get(name) is not None:
            z, y, x = (float(v) for v in asked[name])
            asked[name] = (z, y, x)
    options = replace(
        FitOptions(**asked), model=str(part["model"]), dimensions=int(part["dimensions"])
    )
    check_options(options)
    smoothing = part.get("smoothing")
    # what was used, so that the same landmarks give the same map
    return replace(options, smoothing=options.smoothing if smoothing is None else float(smoothing))
