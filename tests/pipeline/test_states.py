"""A discovery that is stopped and begun again ends as one that was not."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from pandas.testing import assert_frame_equal

from genodl import simulate
from genodl.errors import InputError
from genodl.pipeline import discovery, interact
from genodl.pipeline.discovery import discover
from genodl.pipeline.states import NOWHERE, States
from genodl.train.resume import STOPPED

SETTINGS = {"folds": 4, "members": 2, "checks": 1, "phenotype": "response"}


@pytest.fixture(scope="module")
def cohort():
    return simulate.cohort(seed=9, samples=200, variants=80, genes=8, h2=0.6).cohort


@pytest.fixture(scope="module")
def whole(cohort):
    return discover(cohort, **SETTINGS)


def test_a_run_that_was_asked_to_stop_goes_on_where_it_was(cohort, whole, tmp_path, monkeypatch):
    learnt = discovery.deepen

    def asked(*given, **more):
        os.kill(os.getpid(), signal.SIGTERM)
        return learnt(*given, **more)

    monkeypatch.setattr(discovery, "deepen", asked)
    with pytest.raises(SystemExit) as stop:
        discover(cohort, **SETTINGS, resume=tmp_path)
    assert stop.value.code == STOPPED
    assert sorted(p.name for p in tmp_path.iterdir()) == ["networks-0", "products-0"]

    scanned = []
    scan = interact.shortlist
    monkeypatch.setattr(discovery, "deepen", learnt)
    monkeypatch.setattr(interact, "shortlist", lambda *a, **k: scanned.append(1) or scan(*a, **k))
    found = discover(cohort, **SETTINGS, resume=tmp_path)
    assert len(scanned) == 1  # of the permuted phenotype: that of the first was kept
    assert_frame_equal(found.markers, whole.markers)
    assert found.performance == whole.performance

    again = discover(cohort, **SETTINGS, resume=str(tmp_path))
    assert len(scanned) == 1
    assert_frame_equal(again.markers, whole.markers)


def test_a_run_does_not_go_on_with_what_another_learnt(cohort, tmp_path):
    few = SETTINGS | {"members": 0, "checks": 0}
    discover(cohort, **few, resume=tmp_path)
    with pytest.raises(InputError, match="products-0: the state is of other data"):
        discover(cohort, **few | {"folds": 5}, resume=tmp_path)
    with pytest.raises(InputError, match="other data"):
        discover(cohort, **few | {"triple_markers": 16}, resume=tmp_path)


def test_arrays_are_made_once_and_cleared_at_the_end(tmp_path):
    made = []

    def make():
        made.append(1)
        return {"a": np.arange(3.0)}

    told = {"x": np.ones((2, 3))}
    states = States(tmp_path / "states")
    for _ in range(2):
        assert_array_equal(states.arrays("products-1", told, make, large=("x",))["a"], [0, 1, 2])
    assert len(made) == 1
    for other in ({"x": np.ones((3, 2))}, {"x": np.full((2, 3), 2.0)}):
        with pytest.raises(InputError, match="other data"):
            States(tmp_path / "states").arrays("products-1", other, make)
    (tmp_path / "states" / "notes.txt").write_text("mine")
    states.clear()
    assert [p.name for p in (tmp_path / "states").iterdir()] == ["notes.txt"]
    (tmp_path / "states" / "notes.txt").unlink()
    states.clear()
    assert not (tmp_path / "states").exists()
    assert_array_equal(NOWHERE.arrays("products-1", told, make)["a"], [0, 1, 2])
    assert NOWHERE.networks(0) is None
