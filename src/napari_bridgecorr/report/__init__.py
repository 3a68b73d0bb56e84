"""One page that shows how well a registration fits and how far to trust each voxel."""

from .contents import ReportContents
from .rater_report import write_rater_report
from .write import write_report

__all__ = ["ReportContents", "write_rater_report", "write_report"]
