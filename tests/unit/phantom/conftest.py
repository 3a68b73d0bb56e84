"""One small phantom for all tests of this folder."""

import pytest

from napari_bridgecorr.phantom import Phantom, PhantomOptions, make_phantom

SMALL = {
    "two_photon_shape": (30, 60, 60),
    "two_photon_spacing_um": (12.0, 10.0, 10.0),
    "mri_shape": (6, 11, 11),
    "deformation_um": 8.0,
    "n_landmarks": 4,
    "n_targets": 200,
    "tumour_radius_um": 90.0,
    "trunk_radius_um": 34.0,
}


@pytest.fixture(scope="session")
def small_options() -> PhantomOptions:
    return PhantomOptions(seed=5, **SMALL)


@pytest.fixture(scope="session")
def small_phantom(small_options: PhantomOptions) -> Phantom:
    return make_phantom(small_options)
