"""One page about two raters: how far apart they click, along which axis, and what that does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..evaluate import RaterDifference, SiteDifferences
from ..io.atomic import write_text
from . import html
from .canvas import png
from .key_figures import length, plain
from .rater_figures import agreement, draw_agreement, draw_click_differences, draw_map_differences

_WORDS = {
    "site": "A place of the fixed image that both raters were shown. Only the partner in the "
    "moving image was clicked twice, so that both clicked the very same probe.",
    "RMS": "Root mean square: the square root of the mean of the squared distances. The squares of "
    "the axes' RMS sum to that of the whole.",
    "limits of agreement": "Mean difference and 1.96 standard deviations to either side (Bland and "
    "Altman 1986): where 95 % of further differences are expected.",
    "difference of the maps": "The same transform model is fitted to either rater's landmarks; "
    "then 50 × 50 points of every slice of the fixed image go through both maps. This is what "
    "the raters' differences do to the registered image.",
}
# a mean so many standard errors from 0 is hardly chance (99 % of normal means lie within)
_CLEAR_BIAS_SE = 2.6


def write_rater_report(
    sites: SiteDifferences,
    maps: RaterDifference | None,
    path: Path,
    *,
    fault: str = "",
    names: tuple[str, str] = ("first rater", "second rater"),
    image: str = "",
    facts: Mapping[str, str] | None = None,
) -> None:
    """Write one self-contained HTML page that compares two raters.

    Parameters
    ----------
    sites : SiteDifferences
    maps : RaterDifference or None
    path : Path
        The ``.html`` file; it appears whole or not at all.
    fault : str
        Why there are no maps to compare.
    names : (str, str)
        Of the raters, or of their files.
    image : str
        Name of the fixed image.
    facts : mapping, optional
        Lines under "how this was made".

    Raises
    ------
    WriteError
        If the file cannot be written.
    """
    overall = sites.overall
    n = len(sites.ids)
    lead = (
        f"At {n} place{'' if n == 1 else 's'} the raters click {length(overall.rms_um)} (RMS) apart"
        f"; half of the places differ by less than {length(overall.median_um)}."
    )
    pair = f"{names[0]}  ·  {names[1]}" + (f"  ·  fixed image: {image}" if image else "")
    body = [html.header("Two raters compared", pair, lead)]
    told = warnings_of(sites, fault)
    if told:
        body.append(html.warning_box(told))
    body.append(html.cards(_cards(sites, maps)))
    body += [
        html.heading("Where do they click apart?", "In the moving image, first to second rater."),
        html.picture(
            "clicks",
            png(draw_click_differences(sites)),
            "Arrows from the first rater's clicks to the second's",
            [
                "Look for arrows that point the same way (a habit of one rater) and for one long "
                "arrow among short ones (another structure was clicked).",
                "Colour and length tell the same: how far apart. Clicks only in depth show as a "
                "dot in the yx projection and as an arrow in the others.",
            ],
        ),
        html.heading("Along which axis?"),
        html.picture(
            "agreement",
            png(draw_agreement(sites, maps)),
            "Differences along each axis, and their root mean square",
            [
                "Look for a mean away from 0 (one rater clicks deeper, or more to one side) and "
                "for differences that grow to one end of the image.",
                "Orange line: mean; dashed: limits of agreement. A thick slice or a long focus "
                "makes z the worst axis.",
            ],
        ),
    ]
    if maps is not None:
        body += [
            html.heading("What does that do to the registration?"),
            html.picture(
                "maps",
                png(draw_map_differences(maps)),
                "Distance between both raters' maps in slices of the fixed image",
                [
                    "Look where the colours turn yellow: there the result depends on who clicked. "
                    "It is usually the rim, beyond the outermost landmarks.",
                    "Both maps are fitted alike. Dotted lines in the last picture: the slices "
                    "shown before it. Colours end at the 95th percentile; grey: not defined.",
                ],
            ),
        ]
    elif fault:
        body.append(html.missing(f"Their maps cannot be compared: {fault}"))
    order = np.argsort(-sites.lengths_um, kind="stable")
    rows = [
        (
            sites.ids[k],
            *(f"{v:+.1f}" for v in sites.difference_um[k]),
            plain(float(sites.lengths_um[k])),
        )
        for k in order
    ]
    columns = ("place", "z (µm)", "y (µm)", "x (µm)", "apart (µm)")
    body.append(html.number_table(columns, rows, "All places as numbers, second less first"))
    body += [html.heading("What the words mean"), html.words(_WORDS)]
    if facts:
        body += [html.heading("How this was made"), html.fact_table(facts)]
    write_text(path, html.page("Two raters compared", body))


def warnings_of(sites: SiteDifferences, fault: str = "") -> list[str]:
    """What has to be known before the numbers are believed."""
    found = []
    n = len(sites.ids)
    if sites.n_missing:
        found.append(
            f"{sites.n_missing} of the first rater's places have no second click: they count "
            "nowhere here"
        )
    if n < 10:
        found.append(f"only {n} place{'' if n == 1 else 's'}: all numbers are rough guesses")
    for axis, name in enumerate("zyx"):
        values = sites.difference_um[:, axis]
        if n >= 5 and abs(values.mean()) > _CLEAR_BIAS_SE * values.std(ddof=1) / np.sqrt(n):
            found.append(
                f"the second rater clicks on average {values.mean():+.3g} µm along {name} from the "
                "first: more than chance, look whether both mean the same structure"
            )
    if fault:
        found.append(f"their maps cannot be compared: {fault}")
    return found


def _cards(sites: SiteDifferences, maps: RaterDifference | None) -> list[html.Card]:
    overall, n = sites.overall, len(sites.ids)
    z, y, x = overall.rms_zyx_um
    far = int(sites.lengths_um.argmax())
    cards = [
        html.Card("Clicks apart (RMS)", length(overall.rms_um), f"at {n} places"),
        html.Card("By axis (RMS)", f"z {plain(z)} · y {plain(y)} · x {plain(x)}", "µm"),
        html.Card("Farthest apart", length(float(sites.lengths_um[far])), f"at {sites.ids[far]}"),
    ]
    worst = int(np.argmax(overall.rms_zyx_um))
    bias, limits = agreement(sites.difference_um[:, worst])
    if limits is not None:
        cards.append(
            html.Card(
                f"Limits of agreement along {'zyx'[worst]}",
                f"{limits[0]:+.3g} … {limits[1]:+.3g} µm",
                f"mean {bias:+.3g} µm, the worst axis",
            )
        )
    if maps is not None:
        slices, *points, _ = maps.points_um.shape
        note = f"{points[0]} × {points[1]} points in each of {slices} slices"
        cards.append(html.Card("Maps apart (RMS)", length(maps.overall.rms_um), note))
    return cards
