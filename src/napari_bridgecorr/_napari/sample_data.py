"""File > Open Sample: the phantom of `sample_data/`, with known truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import ReadError
from ..io.landmark_files import read_landmarks
from ..io.registry import open_image
from ..progress import Progress, Silent
from .frames import upright_frame
from .landmark_layers import landmarks_to_layers
from .layers import LayerData, image_to_layers

_PACKAGE = Path(__file__).resolve().parents[1]
# in the installed package, and in a clone of the project
PLACES = (_PACKAGE / "sample_data", _PACKAGE.parents[1] / "sample_data")


def open_phantom(progress: Progress | None = None) -> list[LayerData]:
    """MRI, two-photon channels and the landmarks that a person would have clicked.

    Each image is shown along its own axes: the MRI lies obliquely in its scanner. Changes no
    window: a job's thread may call it.

    Raises
    ------
    ReadError
        If the sample's files are missing from the installation.
    """
    told = progress or Silent()
    told.begin("opening the sample data", 3)
    folder = sample_folder()
    mri = open_image(folder / "mri.nii.gz")
    mri_layers = image_to_layers(mri, upright=True)
    told.advance()
    stack = open_image(folder / "two_photon.czi")
    stack_layers = image_to_layers(stack, upright=True)
    told.advance()
    size = 1.1 * max(mri.grid.voxel_size_um)
    layers = [
        *mri_layers,
        *stack_layers,
        *landmarks_to_layers(
            read_landmarks(folder / "landmarks.csv"),
            (upright_frame(mri.grid), np.asarray(upright_frame(stack.grid))),
            (size, size),
            (mri.grid.voxel_size_um[0], stack.grid.voxel_size_um[0]),
        ),
    ]
    told.advance()
    return layers


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
