"""The whole path, from files to a ranked, calibrated marker table: where the layers meet."""

from genodl.pipeline.discovery import discover
from genodl.pipeline.found import Found
from genodl.pipeline.load import read_cohort

__all__ = ["Found", "discover", "read_cohort"]
