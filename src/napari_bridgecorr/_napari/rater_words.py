"""What two raters' differences are in words."""

from __future__ import annotations

from ..evaluate import RaterDifference
from ..workflow.raters import RaterComparison
from .rater_layers import limits_of
from .summary import for_the_window


def in_words(found: RaterComparison) -> str:
    """How far the raters are apart, in clicks and in maps."""
    sites = found.sites
    overall = sites.overall
    far = int(sites.lengths_um.argmax())
    n = len(sites.ids)
    text = (
        f"Clicks at {n} place{'' if n == 1 else 's'} differ by RMS {overall.rms_um:.3g} µm "
        f"({_axes(overall.rms_zyx_um)}); most at {sites.ids[far]}, {sites.lengths_um[far]:.3g} µm."
    )
    if sites.n_missing:
        text += f" {sites.n_missing} of the first rater's places have no second click."
    if found.maps is not None:
        maps = found.maps.overall
        text += (
            f" The maps fitted to either differ by RMS {maps.rms_um:.3g} µm "
            f"({_axes(maps.rms_zyx_um)}) over the fixed image's slices. The colours on the fixed "
            f"image say where: {_limits(found.maps)}."
        )
    elif found.fault:
        text += f" Their maps cannot be compared: {for_the_window(found.fault)}."
    return text + " Arrows in the moving image lead from the first click to the second."


def _limits(maps: RaterDifference) -> str:
    low, high = limits_of(maps)
    return f"{low:.3g} µm (dark) to {high:.3g} µm or more (yellow)"


def _axes(values: tuple[float, float, float]) -> str:
    return ", ".join(f"{axis} {v:.3g}" for axis, v in zip("zyx", values, strict=True))
