"""Stability: which loci the folds and their networks select, counted by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from genodl.pipeline.candidates import Candidates
from genodl.pipeline.learn import Attributed, Deep, Linear, Part
from genodl.pipeline.votes import agreement, with_stability
from genodl.screen.layout import Folded

FOLDS, WIDTH = 4, 25
PLACES = FOLDS * WIDTH
RNG = np.random.default_rng(0)
VALUES = RNG.standard_normal((2, PLACES, 5)).astype(np.float32)
RESIDUAL = RNG.standard_normal((PLACES, FOLDS)).astype(np.float32)
# the fourth column is a close proxy of the third
VALUES[0, :, 3] = VALUES[0, :, 2] + 0.1 * VALUES[0, :, 3]
LOCI = ["x", "x", "y", "z", "w"]


def study_of(modality: str) -> SimpleNamespace:
    """As much of a study as votes ask for: five markers, a sample a place."""
    var = pd.Index([f"m{i}" for i in range(5)])
    target = SimpleNamespace(residual=RESIDUAL, known=np.ones(PLACES, bool))
    return SimpleNamespace(
        cohort=SimpleNamespace(modalities={modality: SimpleNamespace(var_names=var)}),
        folded=Folded(np.arange(PLACES).reshape(FOLDS, WIDTH)),
        targets=(target,),
        basis=np.zeros((PLACES, 0)),
        steps=lambda modality, markers, number: 1.0 * (VALUES[0][:, markers] > number),
    )


def told(modality: str, linear: Linear, deep: Deep) -> tuple[pd.Series, dict]:
    study = study_of(modality)
    candidates = Candidates(modality, np.arange(5), VALUES, *[np.zeros(0)] * 4)
    markers = pd.DataFrame(
        {"marker": [f"m{i}" for i in range(5)], "modality": modality, "locus": LOCI}
    ).iloc[[4, 2, 0, 1, 3]]
    parts = (study, markers, [0], [candidates], {modality: [linear]}, [deep])
    found = with_stability(*parts).set_index("marker")["stability"]
    return found[[f"m{i}" for i in range(5)]], agreement(*parts)


def path(coefficients: list[list[float]], features: list[int]) -> Linear:
    empty = np.zeros((PLACES, FOLDS), np.float32)
    return Linear(np.array(features, int), np.array(coefficients, float), empty, empty)


def deep_of(modality: str, *, products=None, network=None) -> Deep:
    nothing = (np.zeros(PLACES), np.zeros((PLACES, FOLDS)))
    each = [Part(*nothing, {modality: p} if p else {}) for p in (products, network)]
    return Deep(*each, np.zeros(FOLDS), None)


NOTHING = path([[]] * FOLDS, [])
# folds 1 and 2 choose marker 0, fold 3 the second channel (column 5 + 1) of its neighbour
PATH = path([[1.0, 0], [2.0, 0], [0, 0.5], [0, 0]], [0, 6])


def product_in(*folds: int) -> Attributed:
    values = np.zeros((PLACES, 1), np.float32)
    for k in folds:
        values[k * WIDTH : (k + 1) * WIDTH] = 0.3
    return Attributed(values, VALUES[0][:, [4]], np.array([4]))


def network_of(votes: np.ndarray, halves: np.ndarray | None = None) -> Attributed:
    columns = np.array([0, 4])
    values = np.ones((PLACES, 2), np.float32)
    return Attributed(values, VALUES[0][:, columns], columns, votes, halves)


def test_the_share_of_folds_is_of_the_locus_in_either_channel():
    found, _ = told("variants", PATH, deep_of("variants"))
    assert found.tolist() == [0.75, 0.75, 0, 0, 0]


def test_a_fold_that_predicts_by_a_product_selects_its_markers():
    found, _ = told("variants", PATH, deep_of("variants", products=product_in(1, 3)))
    assert found.tolist() == [0.75, 0.75, 0, 0, 0.5]


def test_every_network_votes_beside_the_path_of_its_fold():
    votes = np.zeros((FOLDS, 2, 2), bool)
    votes[0, 0, 1] = votes[3, 1, 1] = votes[3, 0, 0] = votes[1, 0, 0] = True
    deep = deep_of("variants", network=network_of(votes))
    found, _ = told("variants", PATH, deep)
    # eight voters: six by the path of their fold, and one network of the last fold
    assert found.tolist() == [7 / 8, 7 / 8, 0, 0, 2 / 8]


def test_a_marker_without_a_position_is_selected_with_a_close_proxy():
    chosen = path([[1.0]] * 3 + [[0.0]], [2])
    assert told("expression", chosen, deep_of("expression"))[0].tolist() == [0, 0, 0.75, 0.75, 0]
    assert told("variants", chosen, deep_of("variants"))[0].tolist() == [0, 0, 0.75, 0, 0]


def test_where_nothing_is_learnt_nothing_is_stable():
    found, agreed = told("variants", NOTHING, deep_of("variants"))
    assert (found == 0).all()
    assert agreed == {"between": "folds", "correlation": None, "loci": 0}


def test_halves_of_the_folds_are_compared_by_the_covariance_of_path_and_products():
    linear = path([[1.0, 2, 0]] * FOLDS, [0, 1, 2])
    linear.coefficients[:, 2] = [0.5, -1, 0.5, 1]
    deep = deep_of("variants", products=product_in(0, 1, 2, 3))
    _, agreed = told("variants", linear, deep)
    fold = np.repeat(np.arange(FOLDS), WIDTH)
    residual = RESIDUAL[np.arange(PLACES), fold]
    terms = np.column_stack(
        [
            VALUES[0, :, 0] + 2 * VALUES[0, :, 1],
            VALUES[0, :, 2] * linear.coefficients[fold, 2],
            np.full(PLACES, 0.3),
        ]
    )
    even, odd = (terms[fold % 2 == h].T @ residual[fold % 2 == h] for h in (0, 1))
    rank = [np.argsort(np.argsort(half)) for half in (even, odd)]
    assert agreed["between"] == "folds"
    assert agreed["loci"] == 3
    assert agreed["correlation"] == pytest.approx(np.corrcoef(*rank)[0, 1])


def test_steps_of_a_marker_are_of_its_locus():
    # the channels 2 and 3 are the steps above 0 and 1 of a marker: of 0, 2 and 4 here
    linear = path([[1.0, 2, 3]] * FOLDS, [10, 12, 19])
    found, agreed = told("expression", linear, deep_of("expression"))
    assert found.tolist() == [1, 1, 1, 1, 1]
    assert (agreed["between"], agreed["loci"]) == ("folds", 3)


def test_halves_of_the_networks_are_compared_where_these_have_a_say():
    halves = np.array([[1.0, 5], [2, 3]])
    votes = np.zeros((FOLDS, 2, 2), bool)
    _, agreed = told("variants", PATH, deep_of("variants", network=network_of(votes, halves)))
    # two loci are too few for a correlation
    assert agreed == {"between": "networks", "correlation": None, "loci": 2}
    assert_allclose(halves.sum(), 11)
