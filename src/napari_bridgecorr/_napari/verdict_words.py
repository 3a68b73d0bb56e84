"""How good a registration is, in words: the target error, how it was found, what would help."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..fitting import Fit, Judgement
from ..landmarks import LandmarkSet
from .summary import micrometres

_COMFORTABLE = 12
_ENOUGH_TO_SET_ASIDE = 12
# thinner than this part of their width, the pairs say little of what lies above and below
_THIN = 0.15
_RIM = 1.8
_MOST_NAMED = 4


@dataclass(frozen=True)
class Verdict:
    """What a card says.

    Parameters
    ----------
    headline : str
        The error to reckon with.
    how : tuple of str
        How it was found, and what else is known.
    advice : tuple of str
        What would improve it, the most useful first.
    """

    headline: str
    how: tuple[str, ...]
    advice: tuple[str, ...]


def verdict(landmarks: LandmarkSet, made: Fit | None, judgement: Judgement | None) -> Verdict:
    """The card's words for a fit and its judgement (None while there is none)."""
    if made is None:
        return Verdict("There is no fit yet.", (), ("Place pairs until step 3 shows a fit.",))
    if judgement is None:
        return Verdict("Being worked out…", (), ())
    headline, how = _error(made, judgement)
    return Verdict(headline, how, tuple(_advice(landmarks, made, judgement)))


def _error(made: Fit, judgement: Judgement) -> tuple[str, tuple[str, ...]]:
    checks, over_all = judgement.checks, judgement.over_all
    how: list[str] = []
    headline = ""
    if checks is not None and checks.summary.n:
        found = checks.summary
        low, high = checks.rms_range_um()
        headline = f"About {micrometres(found.rms_um)} off (RMS at {found.n} check pairs)"
        how.append(
            "Measured at pairs that no fit used, clicks' own error included. So few leave it "
            f"open between {micrometres(low)} and {micrometres(high)} (95 %)."
        )
        n_outside = int(np.sum(checks.outside))
        if 0 < n_outside < found.n:
            how.append(
                f"{n_outside} of them lie outside the other pairs, where the map is carried on; "
                f"inside it is {micrometres(checks.inside.rms_um)}."
            )
    if over_all is not None and np.isfinite(over_all.interior[0]):
        rms, within_68, within_95 = over_all.interior
        text = (
            f"between the pairs {micrometres(rms)} (68 % below {micrometres(within_68)}, 95 % "
            f"below {micrometres(within_95)})"
        )
        if np.isfinite(over_all.hull[0]):
            text += f", at the outermost pairs {micrometres(over_all.hull[0])}"
        if headline:
            how.append(f"Predicted from the fit's own pairs: {text}.")
        else:
            headline = f"About {micrometres(rms)} off between the pairs (predicted)"
            how.append(f"Predicted from how the pairs agree: {text}.")
    loo = made.diagnostics
    if np.isfinite(loo.loo_rms_um):
        headline = headline or f"About {micrometres(loo.loo_rms_um)} off at left-out pairs (RMS)"
        how.append(
            f"Leave-one-out: median {micrometres(loo.loo_median_um)}, RMS "
            f"{micrometres(loo.loo_rms_um)}; too large at the rim, where the others end."
        )
    return headline or "Too few pairs to tell how good it is", tuple(how)


def _advice(landmarks: LandmarkSet, made: Fit, judgement: Judgement) -> list[str]:
    found = []
    if judgement.mismatches:
        names = [m.id for m in judgement.mismatches]
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        found.append(
            f"Look at {', '.join(names[:_MOST_NAMED])}{more} first: probably mistakes (⚠ in the "
            "table says why)."
        )
    thinness = _thinness(made)
    if thinness is not None and made.options.dimensions == 3:
        depth, width = thinness
        found.append(
            f"The pairs lie nearly in one plane ({micrometres(depth)} thick, "
            f"{micrometres(width)} wide): add pairs above and below it."
        )
    half = [m.id for m in landmarks if not m.is_pair]
    if half:
        found.append(
            f"Complete the half pairs ({', '.join(half[:_MOST_NAMED])}"
            + (", …" if len(half) > _MOST_NAMED else "")
            + ")."
        )
    n, over_all = len(made.pairs), judgement.over_all
    if n < _COMFORTABLE:
        found.append(f"{n} pairs are few: place more, spread out ({_COMFORTABLE} are comfortable).")
    if over_all is not None and over_all.hull[0] > _RIM * over_all.interior[0]:
        found.append("The rim is the weak part: place pairs farther out, all around.")
    if judgement.checks is None and n >= _ENOUGH_TO_SET_ASIDE:
        found.append("Set pairs aside below: an error at pairs no fit used is the surest.")
    if not found:
        found.append("Nothing stands out. More pairs always help, most where there are none.")
    return found


def _thinness(made: Fit) -> tuple[float, float] | None:
    """Thickness and width (um, 4 standard deviations) of fixed pairs near one plane."""
    points = made.pairs.fixed_um
    if len(points) < 4:
        return None
    spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False) / np.sqrt(len(points))
    if spread[2] >= _THIN * spread[1]:
        return None
    return 4 * float(spread[2]), 4 * float(spread[0])
