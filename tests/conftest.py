"""Shared fixtures: how programs are compiled, and where the real cohorts are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

DEFAULT_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

BRIEF = ("attribute", "cli", "models", "rank", "train")


@pytest.fixture(scope="module", autouse=True)
def optimised(request: pytest.FixtureRequest) -> Iterator[None]:
    """Programs little optimised where they take longer to compile than to run.

    That is so in some folders, and in the default run alone: others have what users have.
    """
    brief = request.path.parent.name in BRIEF and request.path.name != "test_ensemble.py"
    if brief and "not long" in request.config.option.markexpr:
        import jax

        before = jax.config.values["jax_disable_most_optimizations"]
        jax.config.update("jax_disable_most_optimizations", True)
        yield
        jax.config.update("jax_disable_most_optimizations", before)
    else:
        yield


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real cohorts; skips where absent unless GENODL_REQUIRE_DATA is set."""
    folder = Path(os.environ.get("GENODL_DATA", DEFAULT_DATA))
    if not folder.is_dir():
        if os.environ.get("GENODL_REQUIRE_DATA") == "1":
            pytest.fail(f"the real cohorts are required, and {folder} is absent")
        pytest.skip("the real cohorts are absent: set GENODL_DATA to their folder")
    return folder
