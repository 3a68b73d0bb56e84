"""Fixtures of the report's tests."""

from __future__ import annotations

import pytest
from report_samples import make_contents

from napari_bridgecorr.report import ReportContents


@pytest.fixture(scope="session")
def contents() -> ReportContents:
    return make_contents()
