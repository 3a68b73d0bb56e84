"""Where to trust a registration: expected error and folding at every voxel of the MRI.

python examples/error_map.py
"""

from pathlib import Path

import numpy as np

import napari_bridgecorr as bc

SAMPLE = Path(__file__).resolve().parents[1] / "sample_data"


def main() -> None:
    mri = bc.open_image(SAMPLE / "mri.nii.gz")
    fit = bc.fit(bc.read_landmarks(SAMPLE / "landmarks.csv").pairs(), bc.FitOptions("tps"))
    error = bc.error_model(fit.pairs, fit.transform, "tps")

    index = np.indices(mri.grid.shape).reshape(3, -1).T
    places_um = mri.grid.to_world(index)
    expected_um = error.predict(places_um).reshape(mri.grid.shape)
    determinant = fit.transform.jacobian_determinant(places_um)
    for z in range(0, mri.grid.shape[0], 3):
        row = expected_um[z]
        print(f"slice {z:2d}: {row.min():5.1f} to {row.max():5.1f} um expected")
    print(f"folded voxels: {int((determinant * np.sign(np.median(determinant)) <= 0).sum())}")


if __name__ == "__main__":
    main()
