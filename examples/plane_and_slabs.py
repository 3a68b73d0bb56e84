"""Find the brain's surface in a stack, cut along it, group the slices to the MRI's depth.

python examples/plane_and_slabs.py [OUT_FOLDER]
"""

import sys
from pathlib import Path

import napari_bridgecorr as bc

SAMPLE = Path(__file__).resolve().parents[1] / "sample_data"


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    stack = bc.open_image(SAMPLE / "two_photon.czi")

    found = bc.detect_plane(stack, bc.DetectOptions("surface", channel="vessels"))
    made = found.plane.made
    print(f"tilt {made['tilt_degrees']:.2f} degrees, confidence {made['confidence']:.2f}")

    plane = found.plane.turned(10)
    slabs = bc.reslice_slabs(stack, plane, 50.0, with_coverage=True)
    bc.write_image(slabs, out / "slabs.ome.zarr")
    bc.write_plane(plane, out / "plane.json")
    print(f"{slabs.grid.shape[0]} slabs: {', '.join(c.name for c in slabs.channels)}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "slabs"))
