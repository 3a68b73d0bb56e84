"""Asks for a file to write, beside the image that it belongs to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog, QWidget

from .sample_data import PLACES

if TYPE_CHECKING:
    from ..image import SpatialImage


def ask_path(
    parent: QWidget, title: str, name: str, kinds: str, image: SpatialImage | None = None
) -> Path | None:
    """The file that the user chose; None if there is none.

    Parameters
    ----------
    parent : QWidget
    title, name, kinds : str
        The dialog's; Qt's own list of kinds.
    image : SpatialImage, optional
        In whose folder the dialog opens, if it can be written to.
    """
    folder = None if image is None else _folder(image)
    proposed = name if folder is None else str(folder / name)
    chosen, kind = QFileDialog.getSaveFileName(parent, title, proposed, kinds)
    if not chosen:
        return None
    ending = (kind or kinds).split("(*")[-1].split(")")[0]
    # a name without an ending gets that of the kind that was chosen
    return Path(chosen if Path(chosen).suffix else chosen + ending)


def _folder(image: SpatialImage) -> Path | None:
    path = str(image.source.path or "")
    folder = Path(path).absolute().parent
    if not path or not folder.is_dir() or not os.access(folder, os.W_OK):
        return None
    return None if folder in PLACES else folder  # the sample's is the program's
