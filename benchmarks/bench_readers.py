"""Read planes and tiles of a CZI: pylibCZIrw called directly, czifile."""

from __future__ import annotations

import tempfile
from pathlib import Path

import czifile
import numpy as np
from pylibCZIrw import czi as pyczi
from timing import best_of, once, show

from napari_bridgecorr.io.registry import open_image


def write_uncompressed(path: Path, data: np.ndarray) -> None:
    """A CZI that czifile reads too: it knows no zstd."""
    with pyczi.create_czi(str(path), compression_options="uncompressed:") as file:
        for c in range(data.shape[1]):
            for z in range(data.shape[2]):
                file.write(data[0, c, z][..., None], plane={"C": c, "Z": z, "T": 0})
        file.write_metadata("stack", scale_x=1e-6, scale_y=1e-6, scale_z=3e-6)


def main() -> None:
    """Print."""
    rng = np.random.default_rng(0)
    data = rng.poisson(40, (1, 2, 40, 1024, 1024)).astype(np.uint16)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stack.czi"
        write_uncompressed(path, data)
        image = open_image(path)

        def ours() -> np.ndarray:
            return image.data.compute(scheduler="threads")

        def direct() -> np.ndarray:
            with pyczi.open_czi(str(path)) as file:
                return np.stack(
                    [
                        [file.read(plane={"C": c, "Z": z, "T": 0})[..., 0] for z in range(40)]
                        for c in range(2)
                    ]
                )[None]

        ours_s, read = best_of(ours)
        direct_s, by_library = best_of(direct)
        czifile_s, by_czifile = once(lambda: czifile.imread(str(path)))
        if not (np.array_equal(read, data) and np.array_equal(by_library, data)):
            raise SystemExit("the stacks read differ from the one written")
        same = np.array_equal(np.squeeze(by_czifile), np.squeeze(data))
        show(
            "read 1024 x 1024 x 40 x 2 (uncompressed CZI)",
            ours_s,
            {"pylibCZIrw": direct_s, "czifile": czifile_s},
            "equal" if same else "czifile reads other pixels",
        )
        tiles = rng.integers(0, 512, (50, 2))
        ours_s, _ = best_of(
            lambda: [image.data[0, 0, 20, y : y + 512, x : x + 512].compute() for y, x in tiles]
        )

        def direct_tiles() -> None:
            with pyczi.open_czi(str(path)) as file:
                for y, x in tiles:
                    file.read(roi=(int(x), int(y), 512, 512), plane={"C": 0, "Z": 20, "T": 0})

        direct_s, _ = best_of(direct_tiles)
        show("50 tiles of 512 x 512", ours_s, {"pylibCZIrw": direct_s})
