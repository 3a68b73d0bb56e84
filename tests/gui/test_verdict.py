"""Models side by side, the verdict on a fit, and pairs set aside, under real clicks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari")

from napari.layers import Layer
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_bridgecorr._napari.fit_extras import MoreButton
from napari_bridgecorr._napari.landmark_layers import landmarks_to_layers
from napari_bridgecorr._napari.verdict_words import verdict
from napari_bridgecorr._napari.viewer_session import session_of
from napari_bridgecorr.fitting import (
    FitOptions,
    compare_models,
    compare_smoothings,
    fit,
    judge,
)
from napari_bridgecorr.landmarks import LandmarkSet

LEFT = Qt.MouseButton.LeftButton


def _pairs(n: int, seed: int = 0) -> LandmarkSet:
    """Pairs of an affine map with 4 um clicks."""
    rng = np.random.default_rng(seed)
    fixed = rng.uniform(0, 500, (n, 3))
    return LandmarkSet.from_pairs(fixed, fixed * (1.1, 0.95, 1.0) + rng.normal(0, 4, (n, 3)))


def test_a_model_is_chosen_from_the_list_and_pairs_are_set_aside(
    viewer: Any, open_panel: Any, qtbot: Any
) -> None:
    landmarks = _pairs(18)
    for data in landmarks_to_layers(landmarks):
        viewer.add_layer(Layer.create(*data))
    panel = open_panel(viewer)
    session, step = session_of(viewer), panel.fit
    for fold in step.findChildren(MoreButton):
        if fold.objectName() in ("bridgecorr_compare_fold", "bridgecorr_verdict_fold"):
            QTest.mouseClick(fold, LEFT)
    tree = step.compare.tree
    qtbot.waitUntil(lambda: tree.topLevelItemCount() == 6, timeout=60_000)
    expected = sorted(compare_models(landmarks.pairs(), FitOptions()), key=lambda s: s.mean_um)
    shown = [(tree.topLevelItem(k).text(1), tree.topLevelItem(k).text(2)) for k in range(6)]
    assert shown[: len(expected)] == [(f"{s.mean_um:.1f}", f"{s.median_um:.1f}") for s in expected]
    # the spline is in use: its smoothings beside it
    smoothings = step.compare.smoothings
    assert smoothings.isVisible()
    rows = [smoothings.topLevelItem(k) for k in range(5)]
    told = compare_smoothings(landmarks.pairs(), FitOptions())
    assert [row.text(1) for row in rows] == [f"{s.mean_um:.1f}" for s in told]
    assert [row.text(0)[0] for row in rows] == ["●" if s.is_auto else "○" for s in told]
    none = next(row for row in rows if row.text(0).endswith("None, through every pair"))
    QTest.mouseClick(smoothings.viewport(), LEFT, pos=smoothings.visualItemRect(none).center())
    assert session.options.smoothing == 0
    assert not step.auto.isChecked()
    assert step.smoothing.value() == 0
    assert "●" in none.text(0)
    affine = next(
        item for k in range(6) if (item := tree.topLevelItem(k)).text(0).endswith("Affine")
    )
    QTest.mouseClick(tree.viewport(), LEFT, pos=tree.visualItemRect(affine).center())
    assert session.options.model == "affine"
    assert step.model.currentData() == "affine"
    assert "●" in affine.text(0)
    assert not smoothings.isVisible()

    # five pairs that no fit uses, and the error at them
    card = step.verdict
    QTest.mouseClick(card.set_aside, LEFT)
    qtbot.waitUntil(lambda: "RMS at 5 check pairs" in card.words.text(), timeout=30_000)
    checks = session.landmarks.check_pairs()
    assert len(checks) == 5
    assert len(session.fit.pairs) == 13
    assert not set(session.fit.pairs.ids) & set(checks.ids)
    off = session.fit.transform.map(checks.fixed_um) - checks.moving_um
    rms = np.sqrt(np.mean(np.sum(off**2, axis=1)))
    assert f"About {rms:.3g} µm off" in card.words.text()
    table = panel.landmarks.table
    row = table.row_of(checks.ids[0])
    assert table.text(row, 0) == f"◇ {checks.ids[0]}"
    assert table.text(row, 2) == "check"
    assert float(table.text(row, 3)) == pytest.approx(np.linalg.norm(off[0]), abs=0.06)
    QTest.mouseClick(card.take_back, LEFT)
    qtbot.waitUntil(lambda: len(session.landmarks.pairs()) == 18, timeout=5000)


def test_the_advice_fits_what_is_wrong() -> None:
    good = _pairs(14)
    made = fit(good.pairs(), FitOptions("affine"))
    said = verdict(good, made, judge(good, made))
    assert "between the pairs (predicted)" in said.headline
    assert any("Set pairs aside" in text for text in said.advice)
    assert not any("one plane" in text or "mistakes" in text for text in said.advice)

    thin = LandmarkSet(
        tuple(
            replace(m, fixed_um=(m.fixed_um[0] / 25, *m.fixed_um[1:]))
            for m in _pairs(9, 1)
            if m.fixed_um is not None
        )
    )
    half = LandmarkSet((*thin, replace(good["L14"], moving_um=None)))
    made = fit(half.pairs(), FitOptions("affine"))
    said = verdict(half, made, judge(half, made))
    assert any("nearly in one plane" in text for text in said.advice)
    assert any("half pairs (L14)" in text for text in said.advice)
    assert any("9 pairs are few" in text for text in said.advice)
    assert verdict(good, None, None).headline == "There is no fit yet."
