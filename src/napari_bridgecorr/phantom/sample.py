"""The phantom as a whole: one sample, two instruments, and the truth between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask.array
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ..geometry import Grid
from ..image import Channel, Source, SpatialImage
from ..landmarks import LandmarkPairs, LandmarkSet
from ..progress import Progress, Silent
from .deformation import SmoothDeformation, random_deformation
from .marks import mark_bifurcations, place_targets
from .options import PhantomOptions
from .room import Surface
from .tissue import Tissue, fill_fractions
from .tubes import TubeIndex
from .tumour import place_cells, random_tumour
from .two_photon import record_two_photon
from .vessels import VesselTree, grow_vessels

Float32Array = NDArray[np.float32]
FloatArray = NDArray[np.float64]
Shape = tuple[int, int, int]

_from_array: Callable[..., Any] = dask.array.from_array  # dask states no types

# scanner world points up and to the front where the stack's z and y point down
_STACK_TO_SCANNER = np.diag([-1.0, -1.0, 1.0])
# where the window lies in the scanner, um: nothing may rely on the two worlds being alike
_SCANNER_CENTRE_UM = np.array([4200.0, -1700.0, 1500.0])
# edge of the boxes that MRI voxels are cut into: finer than the finest vessel's diameter
_MRI_BOX_UM = 6.25
_TWO_PHOTON_BOX_UM = 5.0
_MARGIN_UM = 60.0


@dataclass(frozen=True, eq=False)
class Phantom:
    """Two images of one sample, and everything that is true of them.

    Parameters
    ----------
    options : PhantomOptions
    two_photon : SpatialImage
        uint16, channels "vessels" and "tumour"; world starts at the first voxel's centre.
    mri : SpatialImage
        uint16, one channel, oblique grid in scanner world.
    truth : SmoothDeformation
        From MRI world (fixed) to two-photon world (moving).
    landmarks : LandmarkSet
        Bifurcations as a person would mark them, with errors on both sides.
    targets : LandmarkPairs
        Points with exact places: the first half anywhere in the tissue that both images hold, the
        second half on vessels.
    vessel_fraction, tumour_fraction, coverage : MRI-shaped float32
        True part of each MRI voxel filled by vessels, by tumour cells, and by the stack's field of
        view. Root mean square errors over the demo: 0.001 and 0.005 (0.01 in the tumour's core);
        coverage is wrong by less than 0.02, at the stack's edge only.
    vessels : VesselTree
        In two-photon world.
    """

    options: PhantomOptions
    two_photon: SpatialImage
    mri: SpatialImage
    truth: SmoothDeformation
    landmarks: LandmarkSet
    targets: LandmarkPairs
    vessel_fraction: Float32Array
    tumour_fraction: Float32Array
    coverage: Float32Array
    vessels: VesselTree


def make_phantom(options: PhantomOptions, progress: Progress | None = None) -> Phantom:
    """Grow the sample and image it.

    Raises
    ------
    GeometryError
        If the deformation would fold the tissue, or fewer bifurcations than `n_landmarks` lie
        within both images.
    """
    watch = progress if progress is not None else Silent()
    seeds = np.random.SeedSequence(options.seed).spawn(7)
    stack = Grid.from_spacing(options.two_photon_shape, options.two_photon_spacing_um)
    mri = mri_grid(options)
    truth = _truth(np.random.default_rng(seeds[0]), options, stack, mri)
    lower, upper = _tissue_box(stack, mri, truth)
    watch.begin("growing vessels and tumour", 1)
    tree, tissue = _grow(seeds[1], seeds[2], options, stack, lower, upper)
    watch.advance()
    landmarks = mark_bifurcations(seeds[3], options, tree, stack, mri, truth)
    targets = place_targets(seeds[4], options, tree, tissue.surface, stack, mri, truth)
    watch.begin("imaging by two-photon microscopy", 2 * stack.shape[0])
    cuts = _subdivisions(stack, _TWO_PHOTON_BOX_UM)
    seen = fill_fractions(tissue, stack, None, stack, cuts, watch)
    counts = record_two_photon(
        options.detector, seen[0], seen[1], stack.voxel_size_um[0], seeds[5], watch
    )
    watch.begin("imaging by MRI", mri.shape[0])
    held = fill_fractions(tissue, mri, truth, stack, _subdivisions(mri, _MRI_BOX_UM), watch)
    signal = options.contrast.signal(held[2], held[0], held[1])
    magnitude = options.contrast.magnitude(signal, np.random.default_rng(seeds[6]))
    return Phantom(
        options=options,
        two_photon=_image(
            counts,
            stack,
            "two-photon",
            (Channel("vessels", "#FF2AFF"), Channel("tumour", "#2AF5A0")),
        ),
        mri=_image(magnitude[None], mri, "MRI", (Channel("T2w", "#FFFFFF"),)),
        truth=truth,
        landmarks=landmarks,
        targets=targets,
        vessel_fraction=held[0],
        tumour_fraction=held[1],
        coverage=held[3],
        vessels=tree,
    )


def mri_grid(options: PhantomOptions) -> Grid:
    """The MRI's oblique grid in scanner world."""
    turn = Rotation.from_euler("xyz", options.mri_rotation_deg, degrees=True).as_matrix()
    matrix = np.eye(4)
    spacing = np.broadcast_to(np.asarray(options.mri_spacing_um, dtype=np.float64), (3,))
    matrix[:3, :3] = _STACK_TO_SCANNER @ turn @ np.diag(spacing)
    middle = (np.asarray(options.mri_shape) - 1) / 2
    matrix[:3, 3] = _SCANNER_CENTRE_UM - matrix[:3, :3] @ middle
    return Grid(options.mri_shape, matrix)


def _truth(
    rng: np.random.Generator, options: PhantomOptions, stack: Grid, mri: Grid
) -> SmoothDeformation:
    # a few percent of stretch and shear: scanners and stages are not calibrated alike
    strain = np.eye(3) + rng.uniform(-0.02, 0.02, (3, 3))
    linear = strain @ _STACK_TO_SCANNER
    return random_deformation(rng, linear, mri, stack.centre_um, options.deformation_um)


def _tissue_box(stack: Grid, mri: Grid, truth: SmoothDeformation) -> tuple[FloatArray, FloatArray]:
    """Box in the stack's world that holds all that either image sees, and some more."""
    axes = [np.linspace(-0.5, n - 0.5, 15) for n in mri.shape]
    lattice = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    points = np.concatenate([truth.map(mri.to_world(lattice)), stack.corners()])
    return points.min(axis=0) - _MARGIN_UM, points.max(axis=0) + _MARGIN_UM


def _grow(
    vessel_seed: np.random.SeedSequence,
    tumour_seed: np.random.SeedSequence,
    options: PhantomOptions,
    stack: Grid,
    lower: FloatArray,
    upper: FloatArray,
) -> tuple[VesselTree, Tissue]:
    centre = stack.centre_um
    half = stack.corners().max(axis=0) - centre
    surface = Surface(
        0.04 * 2 * half[0], 0.03 * half[0] / (half[1] * half[2]), (centre[1], centre[2])
    )
    tree = grow_vessels(
        np.random.default_rng(vessel_seed),
        lower,
        upper,
        surface,
        options.trunk_radius_um,
        options.finest_vessel_um,
    )
    rng = np.random.default_rng(tumour_seed)
    where = centre + half * np.array([0.0, 0.22, -0.18]) * rng.uniform(0.6, 1.0, 3)
    tumour = random_tumour(rng, where, options.tumour_radius_um)
    far_reaching = TubeIndex.build(tree.tubes, lower, upper, cell_um=40.0, reach_um=30.0)
    cells = place_cells(rng, tumour, far_reaching, surface, lower, upper)
    return tree, Tissue(tree.tubes, cells, surface, lower, upper)


def _subdivisions(grid: Grid, box_um: float) -> Shape:
    z, y, x = (max(1, int(np.ceil(size / box_um - 1e-9))) for size in grid.voxel_size_um)
    return z, y, x


def _image(
    data: NDArray[np.uint16], grid: Grid, name: str, channels: tuple[Channel, ...]
) -> SpatialImage:
    """Image (c, z, y, x) in memory as a lazy one."""
    chunks = (1, 1, min(16, data.shape[1]), *data.shape[2:])
    level = _from_array(data[None], chunks=chunks)
    axes = "czyx" if len(channels) > 1 else "zyx"
    source = Source(Path(f"phantom-{name.lower()}"), "phantom", image_name=name, axes=axes)
    return SpatialImage((level,), (grid,), channels, source)
