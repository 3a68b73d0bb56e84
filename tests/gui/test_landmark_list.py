"""The table of landmarks under real clicks and keys: flags, filters, the selection, the worst."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari")

from napari.layers import Layer
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_bridgecorr._napari.landmark_layers import landmarks_to_layers
from napari_bridgecorr._napari.landmark_rows import LEFT_OUT, NAME
from napari_bridgecorr._napari.viewer_session import session_of
from napari_bridgecorr.landmarks import LandmarkSet

LEFT = Qt.MouseButton.LeftButton
SHIFT, NONE = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.NoModifier
_N = 16


def _swapped_pairs() -> LandmarkSet:
    """Pairs of a bent map with 4 um clicks, the third and fourth swapped, and a half pair."""
    rng = np.random.default_rng(4)
    fixed = rng.uniform(0, 500, (_N, 3))
    moving = fixed * 1.1 + 15 * np.sin(fixed / 150) + rng.normal(0, 4, (_N, 3))
    moving[[2, 3]] = moving[[3, 2]]
    landmarks = list(LandmarkSet.from_pairs(fixed, moving))
    landmarks[0] = replace(landmarks[0], name="fork")
    landmarks[5] = replace(landmarks[5], moving_um=None)
    return LandmarkSet(tuple(landmarks))


def _cell(table: Any, row: int, column: int) -> QPoint:
    index = table.rows.index(row, column)
    table.scrollTo(index)
    return table.visualRect(index).center()


def _ids(table: Any) -> list[str]:
    return [row.landmark.id for row in table.rows.shown]


def test_flags_filters_and_the_selection(viewer: Any, open_panel: Any, qtbot: Any) -> None:
    for data in landmarks_to_layers(_swapped_pairs()):
        viewer.add_layer(Layer.create(*data))
    panel = open_panel(viewer)
    session, found = session_of(viewer), panel.landmarks.list
    table = found.table
    qtbot.waitUntil(lambda: found.words.isVisible(), timeout=30_000)
    assert "L3 and L4 look swapped" in found.words.text()
    assert found.words.text().count("⚠") == 1

    # the swap is put right, and wrong again
    before = {i: session.landmarks[i].moving_um for i in ("L3", "L4")}
    offered = [made for made in found.exchange.buttons if made.isVisible()]
    assert [made.text() for made in offered] in (["Exchange L3 ⇄ L4"], ["Exchange L4 ⇄ L3"])
    QTest.mouseClick(offered[0], LEFT)
    assert np.allclose(session.landmarks["L3"].moving_um, before["L4"])
    assert np.allclose(session.landmarks["L4"].moving_um, before["L3"])
    qtbot.waitUntil(lambda: not found.words.isVisible(), timeout=30_000)
    assert not found.exchange.isVisible()
    QTest.mouseClick(panel.landmarks.history.undo, LEFT)
    assert session.landmarks["L3"].moving_um == before["L3"]
    qtbot.waitUntil(lambda: found.words.isVisible(), timeout=30_000)

    # only what is asked for is shown
    found.kind.setCurrentIndex(found.kind.findData("flagged"))
    assert sorted(_ids(table)) == ["L3", "L4"]
    assert table.text(0, 0).startswith("⚠ ")
    found.kind.setCurrentIndex(found.kind.findData("half"))
    assert _ids(table) == ["L6"]
    assert table.text(0, 2) == "needs its moving point"

    # the worst is shown although the filter hides it; pressed again, the next
    QTest.mouseClick(found.worst, LEFT)
    first = table.selected_ids()
    assert first in (["L3"], ["L4"])
    centre = session.landmarks[first[0]].fixed_um
    assert np.allclose(viewer.scene.camera.center[-2:], centre[1:])
    viewer.window._qt_viewer.canvas.native.setFocus()
    QTest.keyClick(viewer.window._qt_viewer.canvas.native, Qt.Key.Key_W, SHIFT)
    assert {*first, *table.selected_ids()} == {"L3", "L4"}

    # sorted by the heading
    header = table.horizontalHeader()
    x = header.sectionViewportPosition(LEFT_OUT) + 20
    QTest.mouseClick(header.viewport(), LEFT, NONE, QPoint(x, header.height() // 2))
    errors = [r.left_out_um for r in table.rows.shown if np.isfinite(r.left_out_um)]
    assert errors == sorted(errors)
    assert _ids(table)[-1] == "L6"

    # renamed in its cell
    found.search.setText("fork")
    assert _ids(table) == ["L1"]
    at = _cell(table, 0, NAME)
    QTest.mouseClick(table.viewport(), LEFT, NONE, at)
    QTest.mouseDClick(table.viewport(), LEFT, NONE, at)
    editor = table.focusWidget()
    QTest.keyClicks(editor, "branch")
    QTest.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: session.landmarks["L1"].name == "branch", timeout=5000)

    # several at once: left out, used again, deleted
    found.search.clear()
    top, below = _cell(table, 0, NAME), _cell(table, 2, NAME)
    QTest.mouseClick(table.viewport(), LEFT, NONE, top)
    QTest.mouseClick(table.viewport(), LEFT, SHIFT, below)
    chosen = table.selected_ids()
    assert len(chosen) == 3
    QTest.mouseClick(found.disable, LEFT)
    qtbot.waitUntil(lambda: len(session.landmarks.pairs()) == _N - 1 - 3, timeout=5000)
    assert {m.id for m in session.landmarks if not m.enabled} == set(chosen)
    assert sorted(table.selected_ids()) == sorted(chosen)
    QTest.mouseClick(found.enable, LEFT)
    qtbot.waitUntil(lambda: len(session.landmarks.pairs()) == _N - 1, timeout=5000)
    QTest.mouseClick(found.delete, LEFT)
    qtbot.waitUntil(lambda: len(session.landmarks) == _N - 3, timeout=5000)
    assert not {m.id for m in session.landmarks} & set(chosen)
