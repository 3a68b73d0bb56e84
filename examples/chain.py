"""Three spaces, two registrations, one map: mass cytometry to MRI by way of the microscope.

python examples/chain.py
"""

from pathlib import Path

import numpy as np

import napari_bridgecorr as bc

SAMPLE = Path(__file__).resolve().parents[1] / "sample_data"


def main() -> None:
    mri = bc.open_image(SAMPLE / "mri.nii.gz")
    fit = bc.fit(bc.read_landmarks(SAMPLE / "landmarks.csv").pairs(), bc.FitOptions("affine"))
    # as if a region of mass cytometry had been found in the stack: turned by 90 degrees about z
    quarter = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    region = bc.Affine.from_parts(quarter, (0, 900, 0))

    graph = bc.TransformGraph().with_edge("MRI", "two-photon", fit.transform, error_um=25)
    graph = graph.with_edge("mass cytometry", "two-photon", region, error_um=7)
    route = graph.route("mass cytometry", "MRI")
    print(f"{route.words}: {route.error_um:.0f} um expected")

    there = graph.between("MRI", "mass cytometry").map([mri.grid.centre_um])
    back = route.transform.map(there)
    print(f"there and back: {np.abs(back - mri.grid.centre_um).max():.1e} um away")


if __name__ == "__main__":
    main()
