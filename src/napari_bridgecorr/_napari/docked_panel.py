"""What the panels in a dock have in common: they let go of the viewer when they are closed."""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QSize, QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QWidget

from .freed_memory import give_back_soon
from .gl_context import own_context_of_viewer
from .lifeline import Lifeline
from .panel_tabs import stack_if_low

if TYPE_CHECKING:
    from .viewer_session import ViewerSession

_WIDTH_PX, _HEIGHT_PX = 370, 900

_panels: weakref.WeakSet[DockedPanel] = weakref.WeakSet()


class DockedPanel(QWidget):
    """A panel that ends its lifeline when its dock is closed or its window dies.

    Parameters
    ----------
    session : ViewerSession
    name : str
        Qt's object name.
    """

    def __init__(self, session: ViewerSession, name: str) -> None:
        super().__init__()
        self.setObjectName(name)
        self._of = session
        self._lifeline = Lifeline(session)
        _panels.add(self)
        own_context_of_viewer(session.viewer)
        self._was_docked = self._was_shown = False
        # the C++ side may die first (its window is closed): nothing of this widget is touched then
        self.destroyed.connect(partial(_end, self._lifeline))

    @property
    def is_closed(self) -> bool:
        """Whether the panel has let go of its viewer."""
        return self._lifeline.is_over

    def is_of(self, session: ViewerSession) -> bool:
        """Whether this is a panel of that session."""
        return session is self._of

    def sizeHint(self) -> QSize:
        """As wide as it needs to be."""
        return QSize(_WIDTH_PX, _HEIGHT_PX)

    def event(self, event: QEvent) -> bool:
        """Notice that the dock was closed: it takes its widget out and sends no close event."""
        if event.type() == QEvent.Type.ParentChange:
            if self.parent() is not None:
                self._was_docked = True
            elif self._was_docked:
                _end(self._lifeline)
        return super().event(event)

    def showEvent(self, event: QShowEvent) -> None:
        """Share the window with the panels that are there, once this one is in its dock."""
        super().showEvent(event)
        if not self._was_shown:
            self._was_shown = True
            QTimer.singleShot(0, partial(stack_if_low, self))


def names_of_open(session: ViewerSession) -> set[str]:
    """Qt's object names of a session's open panels."""
    open_ones = [p for p in _panels if isalive(p) and not p.is_closed]
    return {p.objectName() for p in open_ones if p.is_of(session)}


def _end(lifeline: Lifeline, *_: object) -> None:
    if not lifeline.is_over:
        lifeline.end()
        give_back_soon()
