"""The words of the Register panel: what a fit says, what it does not, and what to do next."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from ..errors import FitError
from ..fitting import Fit, FitOptions
from ..fitting.checks import check_pairs
from ..image import SpatialImage
from ..landmarks import LandmarkPairs, LandmarkSet
from .frames import is_upright

MODEL_NAMES = {
    "translation": "Translation",
    "rigid": "Rigid",
    "similarity": "Similarity",
    "affine": "Affine",
    "tps": "Thin-plate spline",
    "gp": "Gaussian process",
    "auto": "The best of all",
}
NOT_ACCURACY = (
    "A residual is not accuracy: it says how closely the transform passes the points it was made "
    "from. The leave-one-out error is nearer to the truth, and too large at the rim."
)
# from here on one landmark more changes little (measured on real pairs: docs)
_COMFORTABLE_PAIRS = 12
_MOST_PROBED = 12
_NOTHING_UM = 1e-6  # rounding


@dataclass(frozen=True)
class Summary:
    """What the panel says of the landmarks and their fit.

    Parameters
    ----------
    headline : str
        The numbers, in one line.
    details : tuple of str
    warnings : tuple of str
    next_step : str
        What to do now.
    """

    headline: str
    details: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    next_step: str = ""


def summarise(
    landmarks: LandmarkSet, options: FitOptions, fit: Fit | None, fit_error: str = ""
) -> Summary:
    """The words for a state of the landmarks and of their fit (None if there is none)."""
    n = len(landmarks.pairs())
    half = sum(not m.is_pair for m in landmarks)
    off = sum(m.is_pair and not m.enabled for m in landmarks)
    counts = [_counted(n, "pair")]
    if half:
        counts.append(f"{half} half placed")
    if off:
        counts.append(f"{off} left out")
    headline = " · ".join(counts)
    if fit is None:
        missing = pairs_needed(options) - n
        # too few is where everybody begins, not a fault
        warnings = () if missing > 0 or not fit_error else (for_the_window(fit_error),)
        return Summary(headline, (), warnings, _how_many_more(n, missing, options))
    details = [_chosen_text(fit)] if fit.comparison else []
    details += [_smoothing_text(fit)] if fit.smoothing_um is not None else []
    found = fit.diagnostics
    details.append(f"residual RMS {micrometres(found.residual_rms_um)}")
    if np.isfinite(found.loo_rms_um):
        headline += (
            f" · leave-one-out RMS {micrometres(found.loo_rms_um)}, "
            f"median {micrometres(found.loo_median_um)}"
        )
        next_step = _what_next(n)
    else:
        next_step = f"{_counted(n, 'pair')}: place at least 1 more to see a leave-one-out error."
    return Summary(
        headline, tuple(details), tuple(for_the_window(w) for w in fit.warnings), next_step
    )


@cache
def pairs_needed(options: FitOptions) -> int:
    """The fewest pairs that can determine the model, as the fit itself judges it."""
    if options.model == "auto":
        return pairs_needed(replace(options, model="translation"))
    spread = np.random.default_rng(0).uniform(0, 100, (_MOST_PROBED, 3))
    for n in range(1, _MOST_PROBED):
        pairs = LandmarkPairs(tuple(f"{i}" for i in range(n)), spread[:n], spread[:n])
        try:
            check_pairs(pairs, options.model, options.dimensions)
        except FitError:
            continue
        return n
    return _MOST_PROBED


def describe_image(image: SpatialImage | None) -> str:
    """One line on an image: size, voxel, whether it lies obliquely."""
    if image is None:
        return ""
    size = "×".join(str(n) for n in image.grid.shape)
    voxel = image.grid.voxel_size_um
    edges = [f"{v:.3g}" for v in voxel]
    voxels = edges[0] if len(set(edges)) == 1 else "×".join(edges)
    parts = [f"{size} voxels", f"{voxels} µm"]
    if not is_upright(image.grid):
        parts.append("oblique")
    if len(image.channels) > 1:
        parts.append(f"{len(image.channels)} channels")
    return " · ".join(parts)


def micrometres(value: float) -> str:
    """A length for a person: three digits at most."""
    if not np.isfinite(value):
        return "–"
    if abs(value) < _NOTHING_UM:
        return "0 µm"
    if abs(value) < 0.1:
        return f"{value:.1g} µm"
    return f"{value:.0f} µm" if abs(value) >= 100 else f"{value:.3g} µm"


def for_the_window(text: str) -> str:
    """A message with the window's remedies in the place of the command line's."""
    text = re.sub(
        r"use --model (\w+)( or (\w+))?",
        lambda m: f"choose {_model(m[1])}" + (f" or {_model(m[3])}" if m[3] else ""),
        text,
    )
    text = text.replace("--dimensions 2", "2 dimensions")
    text = re.sub(r"\bfor (tps|affine|rigid|similarity)\b", lambda m: f"for {_model(m[1])}", text)
    return re.sub(
        r"\bdetermine (tps|affine|rigid|similarity)\b", lambda m: f"determine {_model(m[1])}", text
    )


def _model(name: str) -> str:
    if name == "auto":
        return "any model"
    article = "an " if name == "affine" else "a "
    suffix = "" if name in ("translation", "tps", "gp") else " transform"
    return article + MODEL_NAMES[name].lower() + suffix


def _chosen_text(fit: Fit) -> str:
    """What was chosen, and by how much it was better than the next: left-out pairs' mean error."""
    scores = [
        f"{MODEL_NAMES[s.model]} {micrometres(s.mean_um)}"
        for s in fit.comparison[:3]
        if np.isfinite(s.mean_um)
    ]
    chosen = f"chosen: {MODEL_NAMES[fit.options.model]}"
    return f"{chosen} (mean error of left-out pairs: {', '.join(scores)})" if scores else chosen


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def _smoothing_text(fit: Fit) -> str:
    chosen = " (auto)" if fit.options.smoothing == "auto" else ""
    unit = "µm" if fit.options.dimensions == 3 else "µm²"
    number, _, power = f"{fit.smoothing_um:.3g}".partition("e")
    if power:
        number += f" × 10{str(int(power)).translate(_RAISED)}"
    return f"smoothing λ {number} {unit}{chosen}"


def _how_many_more(n: int, missing: int, options: FitOptions) -> str:
    if n == 0:
        return "Mark the same structure in the fixed and in the moving image: that is one pair."
    if missing > 0:
        return f"{_counted(n, 'pair')}: place at least {missing} more for {_model(options.model)}."
    return ""


def _what_next(n: int) -> str:
    if n < _COMFORTABLE_PAIRS:
        return (
            "More pairs help, most of all where there are none: spread them in depth and to the "
            "rim. Extra pairs are always allowed."
        )
    return "Look at the worst landmarks in the table, then warp."


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
