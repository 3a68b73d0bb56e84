"""What placing asks of whatever shows the images."""

from __future__ import annotations

from typing import Protocol

from .views import View


class Host(Protocol):
    """What shows the images."""

    view: View

    def set_view(self, view: View) -> None:
        """Show one image, or both."""

    def follows(self) -> bool:
        """Whether the view goes to the other image after a click."""

    def select(self, landmark_id: str) -> None:
        """Show in the table which landmark is the current one."""

    def toggle_move(self) -> None:
        """Drag points with the mouse, or place them again."""

    def refine(self, landmark_id: str) -> bool:
        """Begin to refine one pair at the images; False where that cannot be."""
