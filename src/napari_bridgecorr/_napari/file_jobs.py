"""What the File panel has done in threads, as plain functions, and the thumbnails one by one."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QObject, Signal

from ..errors import BridgecorrError
from ..image import SpatialImage
from ..progress import Progress
from ..workflow.files import FileContents, ImageChoice, chosen_images
from ..workflow.thumbnails import thumbnail
from .jobs import Job
from .layers import LayerData, image_to_layers

# twice what a card shows, for sharp screens
_THUMBNAIL_PX = 112


def layers_to_load(
    contents: FileContents, choices: tuple[ImageChoice, ...], progress: Progress
) -> list[LayerData]:
    """Layers of what the user chose; contrast is judged here, off the GUI thread.

    Raises
    ------
    GeometryError, ReadError, Cancelled
    """
    images = chosen_images(contents, choices)
    progress.begin("loading", len(images))
    found: list[LayerData] = []
    for image in images:
        found += image_to_layers(image)
        progress.advance()
    return found


class Thumbnails(QObject):
    """Draws the thumbnails of a file's images, one after the other, in a job."""

    drawn = Signal(int, object)
    """Number of the image, and its picture (height, width, 3)."""
    failed = Signal(int, str)
    """Number of the image, and why it has no picture."""

    def job(self, images: Sequence[SpatialImage]) -> Job:
        """The work, to be started."""
        return Job(lambda progress: self._draw(images, progress))

    def _draw(self, images: Sequence[SpatialImage], progress: Progress) -> int:
        progress.begin("drawing thumbnails", len(images))
        for number, image in enumerate(images):
            try:
                picture = thumbnail(image, _THUMBNAIL_PX, progress=_OnlyStops(progress))
            except BridgecorrError as error:
                self.failed.emit(number, str(error))
            else:
                self.drawn.emit(number, picture)
            progress.advance()
        return len(images)


class _OnlyStops:
    """Progress of a part: it can be cancelled, but the bar counts whole images."""

    def __init__(self, whole: Progress) -> None:
        self._whole = whole

    def begin(self, task: str, total: int) -> None:  # noqa: ARG002 - the protocol's names
        self._whole.advance(0)

    def advance(self, steps: int = 1) -> None:  # noqa: ARG002
        self._whole.advance(0)
