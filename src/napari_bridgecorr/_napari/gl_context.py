"""A canvas lets go of what it drew in its own OpenGL context.

When a layer is removed napari (0.9) sends a canvas's waiting OpenGL commands off at once, in
whatever context is current then: mostly that in which Qt paints the window, or another canvas's.
Buffers and programs are then deleted, and others filled, beside the context that still uses them,
and the next picture ends the process (seen with Mesa 22.3: adding and removing a Shapes layer twice
is enough, without this package). So the canvas's own context is made current first.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from napari.qt import QtViewer
from qtpy.compat import isalive
from qtpy.QtWidgets import QApplication

if TYPE_CHECKING:
    from napari.viewer import Viewer

_DONE = "_bridgecorr_own_context"


def own_context_of_viewer(viewer: Viewer | None) -> None:
    """See to every canvas that shows a viewer."""
    for widget in QApplication.allWidgets():
        if isinstance(widget, QtViewer) and widget.viewer is viewer:
            own_context(widget)


def own_context(canvas: QtViewer) -> None:
    """Let a canvas finish its drawing in its own context, for as long as it lives.

    Nothing happens where it has no OpenGL context, or was seen to before.
    """
    native = canvas.canvas.native
    context = getattr(getattr(native, "_vispy_canvas", None), "context", None)
    if context is None or not hasattr(native, "makeCurrent") or hasattr(context, _DONE):
        return
    reference, finish = weakref.ref(native), context.finish

    def finish_in_own_context() -> None:
        widget = reference()
        if widget is not None and isalive(widget):
            widget.makeCurrent()
        finish()

    context.finish = finish_in_own_context
    setattr(context, _DONE, True)
