"""One page that shows how well a registration fits and how far to trust each voxel."""

from .contents import ReportContents
from .write import write_report

__all__ = ["ReportContents", "write_report"]
