"""Shared fixtures: where the real cohorts are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

DEFAULT_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real cohorts; skips where absent unless GENODL_REQUIRE_DATA is set."""
    folder = Path(os.environ.get("GENODL_DATA", DEFAULT_DATA))
    if not folder.is_dir():
        if os.environ.get("GENODL_REQUIRE_DATA") == "1":
            pytest.fail(f"the real cohorts are required, and {folder} is absent")
        pytest.skip("the real cohorts are absent: set GENODL_DATA to their folder")
    return folder
