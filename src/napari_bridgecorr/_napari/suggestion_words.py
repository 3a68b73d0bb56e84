"""What a search for further pairs found, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..vessels import FEWEST_PAIRS

if TYPE_CHECKING:
    from ..vessels import Proposals, Suggestion


def in_words(found: Proposals, to_judge: Sequence[Suggestion], n_pairs: int, level: float) -> str:
    """What there is, and what to do next.

    Parameters
    ----------
    found : Proposals
    to_judge : sequence of Suggestion
        Neither accepted nor rejected by now.
    n_pairs : int
        Enabled pairs that there are.
    level : float
        Confidence from which pairs count as sure, 0 to 1.
    """
    sides = (
        ("fixed", found.fixed_um, found.fixed_vessels),
        ("moving", found.moving_um, found.moving_vessels),
    )
    lacking = [side for side, places, _ in sides if not len(places)]
    if lacking and not found.pairs:
        where = "either image" if len(lacking) == 2 else f"the {lacking[0]} image"
        return (
            f"No vessels found: no branching in {where}. Choose the channel that shows vessels, "
            "and whether they are bright or dark."
        )
    branchings = " and ".join(
        f"{len(places)} in the {side} image ({polarity} vessels)"
        for side, places, polarity in sides
    )
    text = f"Branchings found: {branchings}. "
    if n_pairs < FEWEST_PAIRS and not found.pairs:
        more = FEWEST_PAIRS - n_pairs
        return text + (
            f"Place {more} more pair{'' if more == 1 else 's'} by hand, far from each other: then "
            "further pairs are proposed."
        )
    if not found.pairs:
        return text + (
            "No further pair is likely: the vessels of both images look too little alike. Check "
            "the channels, whether vessels are bright or dark, and the pairs you placed; or place "
            "more by hand."
        )
    if not to_judge:
        return text + "Every proposed pair is judged."
    n, sure = len(to_judge), sum(s.confidence >= level for s in to_judge)
    return text + (
        f"{n} further pair{'' if n == 1 else 's'} proposed, {sure} at least {100 * level:g} % "
        "sure. Click one to see it in the images."
    )
