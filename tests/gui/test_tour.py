"""The first tour: offered once, on the sample data, pointing at what it speaks of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("napari")

from qtpy.QtWidgets import QWidget
from test_register_panel import click

from napari_bridgecorr._napari import tour
from napari_bridgecorr._napari.viewer_session import session_of


def test_the_tour_is_offered_once_and_points_at_its_controls(
    viewer: Any, open_panel: Any, qtbot: Any, kept_sessions: Path
) -> None:
    seen = kept_sessions.parent / "tour_seen"
    seen.unlink()
    panel = open_panel(viewer)
    session, strip = session_of(viewer), panel.tour
    steps = panel.images.first_steps
    assert strip.isVisible()
    assert "sample data" in strip.words.text()
    assert "Drop two image files" in steps.words.text()
    click(strip.go)  # nothing is open: the sample is
    qtbot.waitUntil(lambda: session.fit is not None, timeout=20_000)
    assert not steps.isVisible()
    for card in tour.CARDS:
        assert card.title in strip.words.text()
        halo = panel.findChild(QWidget, "bridgecorr_tour_halo")
        target = panel.findChild(QWidget, card.control)
        assert not target.visibleRegion().isEmpty(), card.title  # scrolled to
        around = target.geometry().adjusted(-3, -3, 3, 3)
        assert (halo.parent(), halo.geometry()) == (target.parent(), around)
        assert not seen.exists()
        click(strip.go)
        qtbot.wait(20)  # the frame before is deleted
    assert seen.exists()
    assert not strip.isVisible()
    assert panel.findChild(QWidget, "bridgecorr_tour_halo") is None
    click(panel.findChild(QWidget, "bridgecorr_take_tour"))
    assert strip.isVisible()
    assert strip.card == tour.CARDS[0]
    click(strip.skip)
    assert not strip.isVisible()
