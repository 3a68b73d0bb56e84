"""What is to be done before a window goes, whichever way it goes.

A script's `viewer.close()` takes the layers out and then closes the window; the window's cross,
Ctrl+Q and `QApplication.quit` close it with its layers; `QApplication.exit` and the end of a script
do not close it at all.
"""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.compat import isalive
from qtpy.QtCore import QCoreApplication, QEvent, QObject, QTimer

from .keyboard import native_of

if TYPE_CHECKING:
    from napari.viewer import Viewer


class BeforeTheEnd(QObject):
    """Calls before layers are taken out, and before the window or the program ends.

    Parameters
    ----------
    viewer : napari.viewer.Viewer or None
    look : callable
        Called when the first of some layers is about to be removed: all are still there.
    finish : callable
        Called when the window is closed or the program ends; it may be called more than once.
    """

    def __init__(
        self, viewer: Viewer | None, look: Callable[[], None], finish: Callable[[], None]
    ) -> None:
        super().__init__()
        self._look, self._finish = look, finish
        self._layers = None if viewer is None else weakref.ref(viewer.layers)
        if viewer is not None:
            viewer.layers.events.removing.connect(self._on_removing)
        native = None if viewer is None else native_of(viewer)
        window = None if native is None else native.window()
        self._was_closed = False
        # held by nobody who outlives it
        self._window = None if window is None else weakref.ref(window)
        if window is not None:
            window.installEventFilter(self)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self._on_quit)
        atexit.register(self._on_quit)
        # many layers may be removed at once: what is left after the first is not what was made
        self._has_looked = QTimer(self)
        self._has_looked.setSingleShot(True)
        self._has_looked.setInterval(0)

    @property
    def is_window_gone(self) -> bool:
        """Whether the window was closed, and did not stay open all the same."""
        window = None if self._window is None else self._window()
        is_shown = window is not None and isalive(window) and window.isVisible()
        return self._was_closed and not is_shown

    def look_no_more(self) -> None:
        """What becomes of the layers is of no interest any longer; what is begun is to be ended."""
        layers = None if self._layers is None else self._layers()
        self._layers = None
        if layers is not None:
            layers.events.removing.disconnect(self._on_removing)

    def end(self) -> None:
        """There is nothing to be done any longer."""
        atexit.unregister(self._on_quit)
        self.look_no_more()
        if not isalive(self):  # when the interpreter ends Qt's objects go first
            return
        window = None if self._window is None else self._window()
        if window is not None and isalive(window):
            window.removeEventFilter(self)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.disconnect(self._on_quit)
        self.deleteLater()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: ARG002 - Qt's
        """Notice that the window is to be closed; it may yet be kept open."""
        if event.type() == QEvent.Type.Close:
            self._was_closed = True
            self._finish()
        return False

    def _on_removing(self, *_: object) -> None:
        if not self._has_looked.isActive():
            self._has_looked.start()
            self._look()

    def _on_quit(self) -> None:
        if isalive(self):
            self._finish()
