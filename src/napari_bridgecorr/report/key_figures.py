"""The numbers at the top of the page, and how lengths are written."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..fitting import Fit, FoldingCheck
from .contents import ReportContents
from .html import Card

FloatArray = NDArray[np.float64]

_MODELS = {"tps": "thin-plate spline", "gp": "Gaussian process"}


@dataclass(frozen=True, eq=False)
class KeyFigures:
    """What the cards say.

    Parameters
    ----------
    contents : ReportContents
    folding : FoldingCheck or None
    predicted_um : (n,) float64
        Predicted errors of the covered rows; empty if unknown.
    truth_um : (n,) float64
        Finite true target errors; empty if unknown.
    """

    contents: ReportContents
    folding: FoldingCheck | None
    predicted_um: FloatArray
    truth_um: FloatArray

    @property
    def n_rows(self) -> int | None:
        """Rows of the table."""
        table = self.contents.table
        if self.contents.n_rows is None and table:
            return len(next(iter(table.values())))
        return self.contents.n_rows

    def lead(self) -> str:
        """The sentence to take home."""
        sentences = []
        fit = self.contents.fit
        if self.predicted_um.size:
            voxel = " × ".join(f"{v:.3g}" for v in self.contents.fixed.grid.voxel_size_um)
            sentences.append(
                f"At half of the covered voxels the predicted registration error is below "
                f"{length(float(np.median(self.predicted_um)))} (a fixed voxel measures "
                f"{voxel} µm, z × y × x)."
            )
        if self.truth_um.size:
            sentences.append(
                f"Against the known truth half of the targets are off by less than "
                f"{length(float(np.median(self.truth_um)))}."
            )
        elif fit is not None and np.isfinite(fit.diagnostics.loo_median_um):
            sentences.append(
                f"A landmark that the fit has not seen is typically found "
                f"{length(fit.diagnostics.loo_median_um)} from where the others predict it."
            )
        return " ".join(sentences)

    def cards(self) -> list[Card]:
        """The cards, most important first; what is unknown is left out."""
        found = [_model(self.contents)]
        if self.contents.fit is not None:
            found += _fit_cards(self.contents.fit)
        if self.truth_um.size:
            median, high = np.percentile(self.truth_um, (50, 95))
            found.append(
                Card(
                    "target registration error",
                    length(float(median)),
                    f"median over {self.truth_um.size:,} known targets; 95 % below "
                    f"{length(float(high))}",
                )
            )
        if self.predicted_um.size:
            found.append(
                Card(
                    "predicted error",
                    length(float(np.median(self.predicted_um))),
                    "median over the covered rows",
                )
            )
        if self.n_rows is not None:
            covered = f"{self.predicted_um.size:,} of those at hand covered"
            note = covered if self.predicted_um.size else "one per voxel"
            if self.predicted_um.size and self._has_all_rows():
                note = f"{self.predicted_um.size:,} covered by the moving image"
            found.append(Card("rows in the table", f"{self.n_rows:,}", note))
        found.append(folding_card(self.folding))
        return found

    def _has_all_rows(self) -> bool:
        table = self.contents.table
        return bool(table) and len(next(iter((table or {}).values()))) == self.n_rows


def length(value_um: float) -> str:
    """A length in um with about three digits; a dash where it is undefined."""
    if not np.isfinite(value_um):
        return "–"
    return f"{plain(value_um)} µm"


def plain(value: float) -> str:
    """A number with about three digits; a dash where it is undefined."""
    if not np.isfinite(value):
        return "–"
    if 0 < value < 0.01:  # the residual of an interpolation is a rounding error
        return "< 0.01"
    digits = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:.{digits}f}"


def model_name(contents: ReportContents) -> str:
    """The fitted model, or the kind of transform that was given."""
    if contents.fit is not None:
        model = contents.fit.options.model
        return _MODELS.get(model, model)
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(contents.transform).__name__).lower()


def _model(contents: ReportContents) -> Card:
    note = "given, not fitted here"
    if contents.fit is not None:
        note = f"fitted in {contents.fit.options.dimensions}-D, fixed → moving"
    return Card("model", model_name(contents), note)


def _fit_cards(fit: Fit) -> list[Card]:
    d = fit.diagnostics
    found = [
        Card(
            "landmarks",
            str(len(d.ids)),
            f"residual RMS {length(d.residual_rms_um)} (not accuracy)",
        )
    ]
    if fit.smoothing_um is not None:
        unit = "µm" if fit.options.dimensions == 3 else "µm²"
        chosen = fit.options.smoothing == "auto"
        note = "chosen from leave-one-out errors" if chosen else "as asked for"
        if fit.smoothing_um == 0:
            note += "; 0 passes through every landmark"
        found.append(Card("smoothing λ", f"{fit.smoothing_um:.3g} {unit}", note))
    found.append(
        Card(
            "leave-one-out error",
            length(d.loo_rms_um),
            f"RMS; median {length(d.loo_median_um)}",
        )
    )
    return found


def folding_card(folding: FoldingCheck | None) -> Card:
    """Whether the transform keeps neighbours in order."""
    if folding is None:
        return Card("folding check", "not possible", "the transform is undefined in the overlap")
    span = f"volume changes × {plain(folding.minimum)} to × {plain(folding.maximum)}".replace(
        "× ", "×\u00a0"
    )
    if folding.n_folded:
        share = f"{folding.n_folded:,} of {folding.n_points:,} points"
        value = "mirrored" if folding.n_folded == folding.n_points else "folds"
        return Card("folding check", value, f"at {share}; {span}", "bad")
    return Card("folding check", "no folds", span, "good")
