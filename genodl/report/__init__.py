"""The report on a finished result folder: figures and one self-contained page.

Matplotlib loads on first use, so that importing genodl stays instant.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["render", "summarise"]


def render(directory: Path) -> Path:
    """Draw figures/ and write report.html of a result folder; see `genodl.report.html.render`."""
    from genodl.report import html

    return html.render(directory)


def summarise(directory: Path) -> list[str]:
    """One plain line a phenotype; see `genodl.report.summary.summarise`."""
    from genodl.report import summary

    return summary.summarise(directory)
