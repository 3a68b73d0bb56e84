"""``bridgecorr fit``: its arguments, and what it says of a fit."""

from __future__ import annotations

import argparse
import json
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import LANDMARKS_HELP, add_landmark_reading, new_command, triple
from .console import warn

if TYPE_CHECKING:
    from ..fitting import Fit, HeldOutErrors
    from .arguments import Commands

_FOLDS = 10
# a fit of more takes seconds, and there would be as many as folds
_MOST_IN_FOLDS = 1000


def add(commands: Commands) -> None:
    """Its parser."""
    parser = new_command(commands, "fit", "fit a transform to landmark pairs", run)
    parser.add_argument("landmarks", metavar="LANDMARKS", type=Path, help=LANDMARKS_HELP)
    parser.add_argument("-o", "--out", metavar="T.json", type=Path, required=True)
    _add_model(parser)
    _add_localisation(parser)
    add_landmark_reading(parser)
    parser.add_argument("--json", action="store_true", help="print the diagnostics as JSON")
    parser.add_argument(
        "--folds",
        type=_folds,
        metavar="N",
        help="leave the landmarks out in N folds and tell how well the others predict them (with "
        "--json 10 by default, none above 1,000 landmarks; 0: not at all)",
    )


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        default="tps",
        choices=["translation", "rigid", "similarity", "affine", "tps", "gp", "auto"],
        help="tps: thin-plate spline (default); gp: Gaussian process (kriging), the landmarks tell "
        "how smooth it is; auto (recommended): the model that predicts left-out landmarks best",
    )
    parser.add_argument(
        "--smoothing",
        default="auto",
        metavar="auto|gcv|NUMBER",
        help="lambda of the thin-plate spline in um (0 interpolates); "
        "auto: by leave-one-out error (default); gcv: by generalised cross-validation",
    )
    parser.add_argument(
        "--dimensions",
        type=int,
        choices=[2, 3],
        default=3,
        help="2 for flat images: z is only shifted",
    )


def _add_localisation(parser: argparse.ArgumentParser) -> None:
    """How well landmarks are placed, and which of them to doubt."""
    parser.add_argument(
        "--scale",
        default="least-squares",
        choices=["least-squares", "symmetric"],
        help="of a similarity: of least residuals (default), or the ratio of the spreads",
    )
    for side in ("fixed", "moving"):
        parser.add_argument(
            f"--{side}-sigma",
            type=triple,
            metavar="Z,Y,X",
            help=f"standard error of landmarks in the {side} image along z, y, x in um",
        )
    parser.add_argument(
        "--robust",
        default="off",
        choices=["off", "flag", "leave-out"],
        help="name landmarks that disagree with the others, or fit without them",
    )
    parser.add_argument(
        "--slicer-direction",
        action="store_true",
        help="fit from moving to fixed, as 3D Slicer does, and invert the result",
    )


def _folds(text: str) -> int:
    """0, or a number of folds from 2."""
    if not text.isdecimal() or int(text) == 1:
        raise argparse.ArgumentTypeError(f"{text!r} is neither 0 nor a number of folds from 2")
    return int(text)


def run(options: Namespace) -> int:
    """Do what the arguments ask."""
    from ..fitting import FitOptions, parse_smoothing
    from ..workflow.landmarks import fit_landmarks
    from .opening import landmark_reading

    chosen = FitOptions(
        options.model,
        parse_smoothing(options.smoothing),
        options.dimensions,
        options.scale.replace("-", "_"),
        options.fixed_sigma,
        options.moving_sigma,
        options.robust.replace("-", "_"),
        "moving_to_fixed" if options.slicer_direction else "fixed_to_moving",
    )
    result = fit_landmarks(options.landmarks, options.out, chosen, landmark_reading(options))
    for warning in result.warnings:
        warn(warning)
    left_out = _held_out(result, options)
    if options.json:
        print(json.dumps(_fit_json(result, left_out), indent=1))
        return 0
    print(fit_text(result))
    if left_out is not None:
        print(_held_out_text(left_out))
    return 0


def _held_out(result: Fit, options: Namespace) -> HeldOutErrors | None:
    from ..fitting import k_fold

    folds = options.folds
    if folds is None:
        folds = _FOLDS if options.json and 2 <= len(result.pairs) <= _MOST_IN_FOLDS else 0
    return k_fold(result.pairs, result.options, folds) if folds else None


def _held_out_text(found: HeldOutErrors) -> str:
    parts = [
        f"{name} RMS {s.rms_um:.1f} um, median {s.median_um:.1f} um ({s.n})"
        for name, s in (("interior", found.interior), ("on the hull", found.hull))
        if s.n
    ]
    said = "; ".join(parts) or "none could be predicted"
    return f"landmarks left out in {found.n_folds} folds, predicted by the others: {said}"


def _fit_json(result: Fit, left_out: HeldOutErrors | None) -> dict[str, object]:
    from ..fitting import leave_one_out, predicted_error, prior_facts

    diagnostics = result.diagnostics.to_dict()
    return {
        "model": result.options.model,
        "n": diagnostics.pop("n"),
        "smoothing": result.smoothing_um,
        "options": asdict(result.options),
        "prior": prior_facts(result),
        "compared": [asdict(s) for s in result.comparison],
        "suspects": [asdict(s) for s in result.suspects],
        "left_out": list(result.left_out),
        **diagnostics,
        "leave_one_out": leave_one_out(result).to_dict(),
        "predicted_error": predicted_error(result).to_dict(),
        "kfold": None if left_out is None else left_out.to_dict(),
        "warnings": list(result.warnings),
    }


def fit_text(result: Fit) -> str:
    """A fit in one line."""
    from ..fitting import prior_facts

    d = result.diagnostics
    prior = prior_facts(result)
    unit = "um" if result.options.dimensions == 3 else "um^2"
    smoothing = "" if result.smoothing_um is None else f", lambda {result.smoothing_um:.4g} {unit}"
    if prior is not None:
        lengths = " x ".join(f"{v:.0f}" for v in prior["lengths_um"])
        smoothing = (
            f", {prior['kernel']}, deformation alike over {lengths} um (z, y, x), landmarks "
            f"placed to {prior['landmark_sd_um']:.2g} um"
        )
    compared = ""
    if result.comparison:
        scores = ", ".join(f"{s.model} {s.mean_um:.1f}" for s in result.comparison)
        some = result.comparison[0].n_compared
        drawn = f" (compared by {some:,} of them)" if some < len(d.ids) else ""
        compared = f"\nmean error of left-out landmarks in um{drawn}: {scores}"
    return (
        f"{result.options.model}{smoothing}: {len(d.ids)} landmarks, leave-one-out error "
        f"RMS {d.loo_rms_um:.1f} um, median {d.loo_median_um:.1f} um "
        f"(residual RMS {d.residual_rms_um:.1f} um, which is not the accuracy elsewhere)"
        f"{compared}"
    )
