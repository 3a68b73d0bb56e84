"""One small phantom in files, registered once, for all tests of this folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from napari_bridgecorr.cli.main import main


@dataclass(frozen=True)
class Files:
    """The phantom's files, its fitted transform and one table."""

    folder: Path

    @property
    def fixed(self) -> Path:
        return self.folder / "mri.nii.gz"

    @property
    def moving(self) -> Path:
        return self.folder / "two_photon.czi"

    @property
    def landmarks(self) -> Path:
        return self.folder / "landmarks.csv"

    @property
    def transform(self) -> Path:
        return self.folder / "fit.json"

    @property
    def truth(self) -> Path:
        return self.folder / "truth.json"

    def registered(self, transform: Path | None = None) -> list[str]:
        """The arguments that warp, table and report share."""
        return [
            "--fixed", str(self.fixed), "--moving", str(self.moving),
            "--transform", str(transform or self.transform),
        ]  # fmt: skip


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("phantom")
    assert main(["phantom", str(folder), "--size", "sample"]) == 0
    assert main(["fit", str(folder / "landmarks.csv"), "-o", str(folder / "fit.json")]) == 0
    return Files(folder)
