"""Pairs suggested after four given ones, on phantoms with known truth.

    python benchmarks/suggestions.py [--seeds 0 1] [--kinds demo bent coarse noisy small]

Each phantom is a brain window seen by a two-photon microscope (moving, fine) and by MRI (fixed,
coarse), with vessels, a tumour, shading and noise of either instrument. Four of the bifurcations
that it marks, with a rater's error on both sides, are given: the four farthest from each other.
Printed per phantom and seed:

- pairs at or above the default confidence, the share of them within 1.5 MRI voxels of the truth,
  and their median error in MRI voxels;
- the median error (um) at targets anywhere in the tissue of the better of a similarity and an
  affine map of the four, and its ratio after all pairs above the default confidence are fitted too,
  by the Gaussian-process map and by the spline;
- the processor time of the search.

Nothing is tuned to a seed: take others than 0-9 to judge.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_bridgecorr.errors import FitError
from napari_bridgecorr.fitting import FitOptions, fit
from napari_bridgecorr.landmarks import LandmarkPairs, LandmarkSet
from napari_bridgecorr.phantom import Phantom, PhantomOptions, make_phantom
from napari_bridgecorr.vessels import FEWEST_PAIRS, suggest_pairs, with_suggestions

FloatArray = NDArray[np.float64]


def _noisy(seed: int) -> PhantomOptions:
    options = PhantomOptions.demo(seed)
    return replace(options, contrast=replace(options.contrast, snr=options.contrast.snr / 2))


KINDS: dict[str, Callable[[int], PhantomOptions]] = {
    "demo": PhantomOptions.demo,
    "bent": lambda seed: replace(PhantomOptions.demo(seed), deformation_um=60.0),
    "coarse": lambda seed: replace(
        PhantomOptions.demo(seed), mri_spacing_um=75.0, mri_shape=(16, 32, 32)
    ),
    "noisy": _noisy,
    "small": PhantomOptions.sample,
}


def four_apart(landmarks: LandmarkSet) -> LandmarkSet:
    """The first pair and those farthest from the ones before."""
    pairs = landmarks.pairs()
    chosen = [0]
    while len(chosen) < FEWEST_PAIRS:
        gaps = [np.linalg.norm(pairs.fixed_um - pairs.fixed_um[k], axis=1) for k in chosen]
        chosen.append(int(np.min(gaps, axis=0).argmax()))
    return LandmarkSet(tuple(landmarks[pairs.ids[k]] for k in chosen))


def target_error(pairs: LandmarkPairs, model: str, targets: LandmarkPairs) -> float:
    """Median distance in um."""
    try:
        transform = fit(pairs, FitOptions(model)).transform
    except FitError:
        return float("nan")
    off = transform.map(targets.fixed_um) - targets.moving_um
    return float(np.median(np.linalg.norm(off, axis=1)))


def judge(name: str, phantom: Phantom) -> tuple[int, int, float]:
    """Print one line; pairs, right ones, ratio of target errors."""
    given = four_apart(phantom.landmarks)
    start = time.process_time()
    found = suggest_pairs(phantom.mri, phantom.two_photon, given)
    spent = time.process_time() - start
    sure = found.above()
    voxel = float(np.max(phantom.mri.grid.voxel_size_um))
    fixed = np.array([s.fixed_um for s in sure]).reshape(-1, 3)
    moving = np.array([s.moving_um for s in sure]).reshape(-1, 3)
    errors: FloatArray = np.linalg.norm(phantom.truth.map(fixed) - moving, axis=1) / voxel
    anywhere = phantom.targets.subset(np.arange(len(phantom.targets) // 2))
    alone = np.nanmin([target_error(given.pairs(), m, anywhere) for m in ("similarity", "affine")])
    both = with_suggestions(given, sure).pairs()
    ratios = {m: target_error(both, m, anywhere) / alone for m in ("gp", "tps")} if sure else {}
    told = " ".join(f"{m} {ratio:.2f}" for m, ratio in ratios.items())
    median = f"{np.median(errors):.2f}" if sure else "-"
    right = int((errors < 1.5).sum())
    print(
        f"{name:12s} {found.fixed_vessels:6s} {found.moving_vessels:6s} pairs {len(sure):3d} "
        f"right {right:3d} median {median} voxels | four alone {alone:.1f} um, ratio {told} | "
        f"{spent:.1f} s",
        flush=True,
    )
    return len(sure), right, ratios.get("gp", 1.0)


def main() -> None:
    """Judge the phantoms asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    asked = parser.parse_args()
    rows = [
        judge(f"{kind} {seed}", make_phantom(KINDS[kind](seed)))
        for seed in asked.seeds
        for kind in asked.kinds
    ]
    pairs, right, ratio = (np.array(column) for column in zip(*rows, strict=True))
    print(
        f"{len(rows)} phantoms: at least 20 pairs in {int((pairs >= 20).sum())}, "
        f"{100 * right.sum() / max(1, pairs.sum()):.1f} % right, target error halved in "
        f"{int((ratio <= 0.5).sum())}, larger than with four in {int((ratio > 1).sum())}"
    )


if __name__ == "__main__":
    main()
