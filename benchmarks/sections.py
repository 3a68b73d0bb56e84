"""Sections cut out of volumes where only this script knows, and found again by intensity.

    python benchmarks/sections.py tissue vessels MRI.nii.gz --seeds 0 1 2

Each section is cut at a random depth, turn and side, tilted by up to 8 degrees about both axes,
its mean taken over its thickness, bent by 2 % of its width, its contrast inverted and curved (or
made to rise and fall), with shading and noise. It is found where the mean distance of its pixels
from where they were cut is below 1.5 voxels. What matters most: of those not found, none may be
untold.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import dask.array as da
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from napari_bridgecorr.geometry import Grid, Plane
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.io.registry import open_image
from napari_bridgecorr.phantom import PhantomOptions, make_phantom
from napari_bridgecorr.refine.section_find import FoundSection, find_section
from napari_bridgecorr.refine.section_pictures import FindOptions

FloatArray = NDArray[np.float64]

_PIXELS = 160
_FOUND_VOXELS = 1.5
_TILT_DEGREES = 8.0
_BEND_SHARE = 0.02
_NOISE = 0.1


@dataclass(frozen=True, eq=False)
class Cut:
    """A section, and where its pixels were."""

    section: SpatialImage
    plane: Plane
    thickness_um: float
    points_um: FloatArray
    true_um: FloatArray


def image(values: NDArray[np.float32], grid: Grid, name: str) -> SpatialImage:
    """An image of one channel in memory."""
    level = da.from_array(values[None, None], chunks=(1, 1, *values.shape))
    source = Source(Path(name), "benchmark", image_name=name)
    return SpatialImage((level,), (grid,), (Channel("C0"),), source)


def tissue(seed: int) -> SpatialImage:
    """Smooth tissue of several kinds, slices of 80 um."""
    rng = np.random.default_rng(seed + 10_000)
    shape = (28, 48, 52)
    kinds = ((1.0, (3, 7, 7)), (0.8, (1.6, 3.5, 3.5)), (0.4, (0.9, 1.6, 1.6)))
    values = np.zeros(shape)
    for weight, sigma in kinds:
        smooth = gaussian_filter(rng.normal(size=shape), sigma)
        values += weight * smooth / smooth.std()
    grey = 600 + 150 * np.tanh(values) + rng.normal(0, 10, shape)
    return image(grey.astype(np.float32), Grid.from_spacing(shape, (80.0, 50.0, 50.0)), "tissue")


def vessels(seed: int) -> SpatialImage:
    """The MRI of this project's phantom: little but vessels."""
    options = PhantomOptions(
        mri_shape=(32, 64, 64), mri_spacing_um=(50, 40, 40),
        two_photon_shape=(8, 24, 24), two_photon_spacing_um=(150, 100, 100), seed=seed,
    )  # fmt: skip
    return make_phantom(options).mri


def cut(volume: SpatialImage, seed: int) -> Cut:
    """A section at a random place."""
    rng = np.random.default_rng(seed)
    grid = volume.grid
    values = np.asarray(volume.data[0, 0].compute(), dtype=np.float64)
    sizes = np.asarray(grid.voxel_size_um)
    axes = grid.index_to_world[:3, :3] / sizes
    lean = np.tan(np.deg2rad(rng.uniform(-_TILT_DEGREES, _TILT_DEGREES, 2)))
    normal = axes[:, 0] + lean[0] * axes[:, 1] + lean[1] * axes[:, 2]
    middle = (np.asarray(grid.shape) - 1) / 2
    middle[0] = rng.uniform(0.25, 0.75) * (grid.shape[0] - 1)
    plane = Plane.from_normal(grid.to_world(middle)[0], normal).turned(rng.uniform(0, 360))
    if rng.random() < 0.5:
        plane = plane.flipped()
    width = 0.7 * float(min(grid.shape[1] * sizes[1], grid.shape[2] * sizes[2]))
    thickness = float(rng.uniform(0.5, 2.0) * sizes[0])
    pixel = width / _PIXELS
    own = Grid.from_spacing(
        (1, _PIXELS, _PIXELS), (1.0, pixel, pixel), (0, *rng.uniform(-9e3, 9e3, 2))
    )
    points = own.to_world(np.indices(own.shape).reshape(3, -1).T)
    away = points - own.centre_um
    phase = rng.uniform(0, 6, 4)
    wave = 2 * np.pi / (1.3 * width)
    within = away.copy()
    for axis, (p, q) in ((1, phase[:2]), (2, phase[2:])):
        bend = np.sin(wave * away[:, 1] + p) * np.cos(wave * away[:, 2] + q)
        within[:, axis] += _BEND_SHARE * width * bend
    slab = np.zeros(len(points))
    for depth in ((np.arange(12) + 0.5) / 12 - 0.5) * thickness:
        index = grid.to_index(plane.points(within + (depth, 0, 0)))
        slab += map_coordinates(values, index.T, order=1, cval=np.nan) / 12
    low, high = np.nanpercentile(slab, (1, 99))
    scaled = np.clip((slab - low) / (high - low), -0.2, 1.2)
    shown = (1.2 - scaled) ** rng.uniform(0.6, 1.6)
    if rng.random() < 0.3:
        shown = np.sin(2.4 * scaled + rng.uniform(0, 0.6))
    shading = 1 + 0.3 * (away[:, 1:] / width) @ rng.uniform(-1, 1, 2)
    shown = shown * shading
    shown = shown + _NOISE * np.nanstd(shown) * rng.normal(size=len(shown))
    picture = image((100 + 50 * shown).reshape(own.shape).astype(np.float32), own, "section")
    return Cut(picture, plane, thickness, points, plane.points(within))


def error_voxels(found: FoundSection, truth: Cut, grid: Grid) -> tuple[float, float, float]:
    """Mean distance, root-mean-square depth and median distance in the plane, in voxels."""
    known = np.isfinite(truth.section.data[0, 0].compute()).ravel()
    off = found.placement.map(truth.points_um[known]) - truth.true_um[known]
    depth = off @ truth.plane.normal
    within = off - depth[:, None] * truth.plane.normal
    voxel = float(np.median(grid.voxel_size_um))
    mean = float(np.linalg.norm(off, axis=1).mean())
    across = float(np.median(np.linalg.norm(within, axis=1)))
    return mean / voxel, float(np.sqrt(np.mean(depth**2))) / grid.voxel_size_um[0], across / voxel


def main() -> None:
    """Cut, find, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("volumes", nargs="+", help="tissue, vessels or the file of a volume")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    made = {"tissue": tissue, "vessels": vessels}
    for name in options.volumes:
        n_found = n_untold = n_told = 0
        for seed in options.seeds:
            volume = made[name](seed) if name in made else open_image(name)
            truth = cut(volume, seed)
            begun = time.process_time()
            found = find_section(truth.section, volume, FindOptions(truth.thickness_um))
            seconds = time.process_time() - begun
            mean, depth, across = error_voxels(found, truth, volume.grid)
            good = mean < _FOUND_VOXELS
            told = any("doubtful" in w or "hardly" in w for w in found.warnings)
            n_found += good
            n_untold += not good and not told
            n_told += good and told
            lead = float("nan") if found.lead is None else found.lead
            print(
                f"{Path(name).name} {seed}: {'found' if good else 'NOT FOUND'}, mean {mean:.2f}, "
                f"depth RMS {depth:.2f}, in-plane median {across:.2f} voxels; lead {lead:.1f}, "
                f"{found.information:.3f} nats, {'doubtful' if told else 'sure'}; {seconds:.1f} s "
                f"of processor time",
                flush=True,
            )
        print(
            f"{Path(name).name}: {n_found} of {len(options.seeds)} found, {n_told} of them told as "
            f"doubtful; {n_untold} wrong and untold"
        )


if __name__ == "__main__":
    main()
