"""Landmarks to voxel table: the main job in a screenful.

python examples/register.py [OUT_FOLDER]
"""

import sys
from pathlib import Path

import napari_bridgecorr as bc

SAMPLE = Path(__file__).resolve().parents[1] / "sample_data"


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    mri, stack = bc.open_image(SAMPLE / "mri.nii.gz"), bc.open_image(SAMPLE / "two_photon.czi")
    landmarks = bc.read_landmarks(SAMPLE / "landmarks.csv")

    fit = bc.fit(landmarks.pairs(), bc.FitOptions("tps", smoothing="auto"))
    print(f"{len(fit.pairs)} landmarks, leave-one-out RMS {fit.diagnostics.loo_rms_um:.1f} um")

    truth = bc.target_error(fit.transform, bc.read_landmarks(SAMPLE / "targets.csv").pairs())
    print(f"target error at points kept out: median {truth.median_um:.1f} um")

    bc.write_fit(fit, out / "T.json")
    bc.write_image(bc.resample(stack, fit.transform, mri.grid), out / "registered.nii.gz")
    error = bc.error_model(fit.pairs, fit.transform, "tps")
    bc.tabulate(mri, stack, fit.transform, out / "voxels.parquet", error=error)
    print(f"wrote {out}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "registered"))
