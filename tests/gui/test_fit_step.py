"""The options of the Fit step in a real window."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari")

from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_bridgecorr._napari.viewer_session import session_of
from napari_bridgecorr.fitting import FitOptions, fit
from napari_bridgecorr.io.landmark_files import read_landmarks


def _choose(box: Any, value: str) -> None:
    """Walk a combo box to an entry by keys, as a hand does."""
    box.setFocus()
    key = Qt.Key.Key_Down if box.findData(value) > box.currentIndex() else Qt.Key.Key_Up
    for _ in range(abs(box.findData(value) - box.currentIndex())):
        QTest.keyClick(box, key)


def _write(line: Any, text: str) -> None:
    line.setFocus()
    line.selectAll()
    QTest.keyClicks(line, text)
    QTest.keyClick(line, Qt.Key.Key_Return)


def test_the_options_of_the_fit(registered: Any, phantom_files: Any, qtbot: Any) -> None:
    """One window for what would each need its own."""
    folded_options_reach_the_fit(registered, phantom_files, qtbot)
    as_at_first(registered)
    an_error_that_cannot_be_read_is_marked_and_not_used(registered)
    as_at_first(registered)
    the_best_model_on_left_out_pairs_is_chosen_and_named(registered, qtbot)
    as_at_first(registered)
    options_that_are_not_shown_are_kept(registered)


def as_at_first(registered: Any) -> None:
    viewer, panel = registered
    session_of(viewer).set_options(FitOptions())
    assert panel.fit.model.currentData() == "tps"
    assert not panel.fit.extras.errors["moving"].text()


def the_best_model_on_left_out_pairs_is_chosen_and_named(registered: Any, qtbot: Any) -> None:
    viewer, panel = registered
    session = session_of(viewer)
    _choose(panel.fit.model, "auto")
    qtbot.waitUntil(lambda: bool(session.fit and session.fit.comparison), timeout=30_000)
    best = session.fit.comparison[0]
    assert session.fit.options.model == best.model
    assert session.options.model == "auto"
    assert "mean error of left-out pairs" in panel.fit.summary.text()
    assert f"{best.mean_um:.3g} µm" in panel.fit.summary.text()


def folded_options_reach_the_fit(registered: Any, phantom_files: Any, qtbot: Any) -> None:
    viewer, panel = registered
    session, extras = session_of(viewer), panel.fit.extras
    assert not extras.isVisible()
    QTest.mouseClick(panel.fit.more, Qt.MouseButton.LeftButton)
    assert extras.isVisible()
    _write(extras.errors["fixed"], "60, 15, 15")
    _choose(extras.suspects, "flag")
    QTest.mouseClick(extras.slicer_direction, Qt.MouseButton.LeftButton, pos=QPoint(9, 9))
    asked = FitOptions(
        fixed_sigma_um=(60.0, 15.0, 15.0), robust="flag", direction="moving_to_fixed"
    )
    assert session.options == asked
    qtbot.waitUntil(
        lambda: not session.is_fitting and session.fit is not None and session.fit.options == asked,
        timeout=20_000,
    )
    expected = fit(read_landmarks(phantom_files.files["landmarks"]).pairs(), asked)
    points = expected.pairs.fixed_um + 30.0
    assert np.allclose(session.fit.transform.map(points), expected.transform.map(points), atol=1e-6)


def an_error_that_cannot_be_read_is_marked_and_not_used(registered: Any) -> None:
    viewer, panel = registered
    line = panel.fit.extras.errors["moving"]
    _write(line, "60, -1, 3")
    assert session_of(viewer).options.moving_sigma_um is None
    assert "border" in line.styleSheet()
    _write(line, "6, 1, 3")
    assert session_of(viewer).options.moving_sigma_um == (6.0, 1.0, 3.0)
    assert not line.styleSheet()


def options_that_are_not_shown_are_kept(registered: Any) -> None:
    viewer, panel = registered
    session = session_of(viewer)
    session.set_options(replace(session.options, smoothing="gcv"))
    _choose(panel.fit.dimensions, 2)
    assert session.options.smoothing == "gcv"
