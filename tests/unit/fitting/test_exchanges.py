"""Swaps and rounds among pairs that were mixed up."""

from __future__ import annotations

import numpy as np

from napari_bridgecorr.fitting.exchanges import exchanged, exchanges
from napari_bridgecorr.fitting.mismatches import Mismatch
from napari_bridgecorr.landmarks import LandmarkSet


def _odd(landmark_id: str, belongs_to: str) -> Mismatch:
    return Mismatch(landmark_id, 1.0, 9.0, 0.5, belongs_to, "")


def test_swaps_and_rounds_are_found_and_put_right_but_no_open_chains() -> None:
    odd = [_odd("a", "b"), _odd("c", "d"), _odd("b", "a"), _odd("d", "e"), _odd("e", "c")]
    odd += [_odd("f", "g"), _odd("g", ""), _odd("h", "a"), _odd("i", "i")]
    assert exchanges(odd) == (("a", "b"), ("c", "d", "e"))
    places = {name: (0.0, 0.0, float(k)) for k, name in enumerate("cde")}
    points = np.array(list(places.values()))
    pairs = LandmarkSet.from_pairs(points, points, ids=list("cde"))
    assert exchanged(pairs, ("c", "d", "e")) == {
        "d": places["c"],
        "e": places["d"],
        "c": places["e"],
    }
    assert exchanged(pairs, ("c", "x")) == {}
