"""File > Open Sample: the phantom of `sample_data/`, with known truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import ReadError
from ..io.landmark_files import read_landmarks
from ..io.registry import open_image
from .frames import upright_frame
from .landmark_layers import landmarks_to_layers
from .layers import LayerData, image_to_layers

_PACKAGE = Path(__file__).resolve().parents[1]
# in the installed package, and in a clone of the project
PLACES = (_PACKAGE / "sample_data", _PACKAGE.parents[1] / "sample_data")


def open_phantom() -> list[LayerData]:
    """MRI, two-photon channels and the landmarks that a person would have clicked.

    Each image is shown along its own axes: the MRI lies obliquely in its scanner.

    Raises
    ------
    ReadError
        If the sample's files are missing from the installation.
    """
    folder = sample_folder()
    mri, stack = open_image(folder / "mri.nii.gz"), open_image(folder / "two_photon.czi")
    size = 1.1 * max(mri.grid.voxel_size_um)
    return [
        *image_to_layers(mri, upright=True),
        *image_to_layers(stack, upright=True),
        *landmarks_to_layers(
            read_landmarks(folder / "landmarks.csv"),
            (upright_frame(mri.grid), np.asarray(upright_frame(stack.grid))),
            (size, size),
            (mri.grid.voxel_size_um[0], stack.grid.voxel_size_um[0]),
        ),
    ]


def sample_folder() -> Path:
    """Where the sample's files are."""
    for folder in PLACES:
        if (folder / "two_photon.czi").is_file():
            return folder
    raise ReadError(
        PLACES[0],
        "the sample's files are not there",
        "install the package again, or make them with `bridgecorr phantom DIR --size sample`",
    )
