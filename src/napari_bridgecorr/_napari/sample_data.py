"""File > Open Sample: a phantom with known truth, made when it is asked for."""

from __future__ import annotations

from functools import cache

import numpy as np

from ..phantom import Phantom, PhantomOptions, make_phantom
from .frames import upright_frame
from .landmark_layers import landmarks_to_layers
from .layers import LayerData, image_to_layers


def open_phantom() -> list[LayerData]:
    """MRI, two-photon channels and the landmarks that a person would have clicked.

    Each image is shown along its own axes: the MRI lies obliquely in its scanner.
    """
    phantom = _phantom()
    mri, stack = phantom.mri, phantom.two_photon
    size = 1.1 * max(mri.grid.voxel_size_um)
    return [
        *image_to_layers(mri, upright=True),
        *image_to_layers(stack, upright=True),
        *landmarks_to_layers(
            phantom.landmarks,
            (upright_frame(mri.grid), np.asarray(upright_frame(stack.grid))),
            (size, size),
            (mri.grid.voxel_size_um[0], stack.grid.voxel_size_um[0]),
        ),
    ]


@cache
def _phantom() -> Phantom:
    # seconds to make: once per process is enough, and it never changes
    return make_phantom(PhantomOptions.sample())
