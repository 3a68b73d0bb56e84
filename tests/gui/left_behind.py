"""A panel opened, used and closed, and what the window still holds of it then."""

from __future__ import annotations

import gc
from typing import Any

from napari.layers import Points
from qtpy.compat import isalive
from qtpy.QtCore import Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_bridgecorr._napari.docked_panel import DockedPanel
from napari_bridgecorr._napari.jobs import Job
from napari_bridgecorr._napari.keyboard import native_of
from napari_bridgecorr._napari.second_view import SecondView, close_second_view
from napari_bridgecorr._napari.viewer_session import session_of

LEFT = Qt.MouseButton.LeftButton
_SIGNALS = ("layers_changed", "images_changed", "landmarks_changed", "fit_changed", "told")


def open_place_close(viewer: Any) -> int:
    """Open the panel, click a place in both views, close all: the number of pairs this made."""
    _, panel = viewer.window.add_plugin_dock_widget("napari-bridgecorr", "Register")
    QTest.qWait(30)
    session = session_of(viewer)
    QTest.mouseClick(panel.landmarks.two_views, LEFT)
    QTest.qWait(50)
    panel.landmarks.place.setChecked(True)
    for side in ("fixed", "moving"):
        native = native_of(session.canvas_of(side))
        middle = native.rect().center()
        QTest.mouseMove(native, middle)
        QTest.qWait(20)
        QTest.mouseClick(native, LEFT, pos=middle)
        QTest.qWait(80)
    session.read_now()
    n = len(session.landmarks.pairs())
    close_panels(viewer)
    return n


def close_panels(viewer: Any) -> None:
    """Close the docks and remove the points, so that the next round is like this one."""
    close_second_view(session_of(viewer))
    viewer.window.remove_dock_widget("all")
    for layer in viewer.layers:
        if isinstance(layer, Points):
            layer.selected_data = set(range(len(layer.data)))
            layer.remove_selected()
    for _ in range(50):
        QTest.qWait(20)  # what was begun ends, and what is kept is written
        if not Job._running:
            break
    QTest.qWait(50)


def left_behind(viewer: Any) -> dict[str, int]:
    """Count what panels connect, start and bind; all of it is to be as before they were opened."""
    gc.collect()  # napari itself leaves callbacks of objects that are gone
    session = session_of(viewer)
    groups = [viewer.layers.events, viewer.layers.selection.events, viewer.events]
    groups += [viewer.dims.events, viewer.scene.camera.events, viewer.cursor.events]
    groups += [layer.events for layer in viewer.layers]
    called = [c for group in groups for c in _callbacks(group)]
    points = [layer for layer in viewer.layers if isinstance(layer, Points)]
    objects = gc.get_objects()
    # made within these milliseconds by napari itself, as for a tooltip, they have a parent
    timers = [o for o in objects if isinstance(o, QTimer) and isalive(o) and o.parent() is None]
    return {
        "callbacks": len(called) + sum(len(i.selected_data.events.items_changed) for i in points),
        "mouse callbacks": sum(
            len(getattr(owner, name))
            for owner in (viewer, *viewer.layers)
            for name in ("mouse_move_callbacks", "mouse_drag_callbacks", "mouse_wheel_callbacks")
        ),
        "keys": len(viewer.keymap) + sum(len(layer.keymap) for layer in viewer.layers),
        "listeners of the session": sum(len(getattr(session, name)) for name in _SIGNALS),
        "jobs": len(Job._running),
        "running timers": sum(timer.isActive() for timer in timers),
        "panels": sum(isinstance(o, (DockedPanel, SecondView)) and isalive(o) for o in objects),
        "our widgets": sum(
            w.objectName().startswith("bridgecorr") for w in QApplication.allWidgets()
        ),
    }


def _callbacks(group: Any) -> list[Any]:
    """Of an evented object, without those whose owner is gone."""
    emitters = getattr(group, "emitters", None)
    if emitters is None:  # psygnal's
        return [slot for signal in group for slot in group[signal]._slots]
    called = [c for emitter in emitters.values() for c in emitter.callbacks]
    return [c for c in called if not isinstance(c, tuple) or c[0]() is not None]
