"""What the folds learn: no screen and no path sees what it is judged on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from numpy.testing import assert_allclose, assert_array_equal

from genodl.config import DiscoverConfig
from genodl.pipeline import candidates
from genodl.pipeline.candidates import (
    BENT_VARIANT_Z,
    BENT_Z,
    Candidates,
    columns_of,
    screen,
    steps_of,
)
from genodl.pipeline.learn import Linear, sparse
from genodl.pipeline.study import Study, prepare
from genodl.values import Cohort

CONFIG = DiscoverConfig(folds=6, checks=0, candidates=40, seed=3)


def untracked(items, label, total):
    return items


def study_of(y: np.ndarray, dosage: np.ndarray) -> Study:
    names = [f"S{i}" for i in range(len(y))]
    samples = pd.DataFrame({"response": y}, index=names)
    var = pd.DataFrame(
        {"contig": "1", "pos": 1_000_000 * np.arange(1, dosage.shape[1] + 1)},
        index=[f"v{i}" for i in range(dosage.shape[1])],
    )
    cohort = Cohort({"variants": AnnData(dosage, obs=samples[[]].copy(), var=var)}, samples)
    return prepare(cohort, ["response"], [], CONFIG)


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    dosage = rng.binomial(2, rng.uniform(0.2, 0.8, 300), (360, 300)).astype(np.int8)
    y = dosage[:, [10, 20, 30]] @ [0.8, -0.8, 0.6] + 0.9 * (dosage[:, 40] == 1)
    return y + rng.standard_normal(360), dosage


@pytest.fixture(scope="module")
def study(drawn) -> Study:
    return study_of(*drawn)


@pytest.fixture(scope="module")
def screened(study: Study) -> Candidates:
    return screen(study, "variants", CONFIG, untracked)


@pytest.fixture(scope="module")
def fitted(study: Study, screened: Candidates) -> Linear:
    return sparse(study, [screened], 0, CONFIG)


def shuffled(study: Study, drawn, rows: np.ndarray) -> Study:
    """The study with the phenotypes of some places among themselves, so their mean stays."""
    y, dosage = drawn
    places = np.sort(study.folded.rows.ravel()[rows])
    changed = y.copy()
    changed[places] = changed[np.random.default_rng(1).permutation(places)]
    return study_of(changed, dosage)


def test_the_screen_of_a_training_fold_keeps_its_largest_scores(study, screened):
    ((_, width, channels),) = study.blocks("variants")
    train = study.folded.fold != 2
    x = np.asarray(channels.values, float)[:, :, :width]
    e = study.targets[0].residual[:, 2] * train
    z = np.einsum("cnm,n->cm", x, e) / np.sqrt(
        np.einsum("cnm,n->cm", x**2, train & (e != 0)) * (e @ e) / (e != 0).sum()
    )
    best = np.argsort(-np.abs(z.ravel()))[:40]
    found = screened.features[:, 2, 0, 0]
    marker, channel = found % len(screened.markers), found // len(screened.markers)
    assert_array_equal(channel * width + screened.markers[marker], best)
    assert_allclose(screened.strength[:, 2, 0, 0], np.abs(z.ravel()[best]), rtol=1e-3)


def test_candidates_hold_the_channels_of_their_markers(study, screened):
    ((_, width, channels),) = study.blocks("variants")
    assert_allclose(screened.values, np.asarray(channels.values)[:, :, screened.markers], atol=1e-6)
    assert {10, 20, 30, 40} <= set(screened.markers)
    assert screened.marginal.shape == (width, 1)


def features(c: Candidates, fold: int, view: int) -> list[tuple[int, int]]:
    """(channel, marker) of each feature of a view, in order."""
    found = c.features[:, fold, view, 0]
    count = len(c.markers)
    return [(int(f) // count, int(c.markers[f % count])) for f in found if f >= 0]


def test_a_screen_never_sees_the_phenotypes_it_leaves_out(study, drawn, screened):
    fold, group = 1, 3
    left_out = np.flatnonzero(study.folded.inner[fold] == group)
    other = screen(shuffled(study, drawn, left_out), "variants", CONFIG, untracked)
    assert features(screened, fold, 1 + group) == features(other, fold, 1 + group)
    # the views that hold those rows do change
    assert features(screened, fold, 0) != features(other, fold, 0)
    assert features(screened, fold, 1) != features(other, fold, 1)


def test_a_path_never_sees_the_phenotypes_of_its_held_out_fold(study, drawn, screened, fitted):
    held = np.flatnonzero((study.folded.fold == 4) & (study.folded.present > 0))
    changed = shuffled(study, drawn, held)
    other = sparse(changed, [screen(changed, "variants", CONFIG, untracked)], 0, CONFIG)
    assert fitted.prediction[:, 4].any()
    assert_allclose(fitted.prediction[:, 4], other.prediction[:, 4], atol=1e-3)
    assert np.abs(fitted.prediction[:, 1] - other.prediction[:, 1]).max() > 0.01


def test_planted_features_are_selected_in_every_fold(screened, fitted):
    count = len(screened.markers)
    place = np.searchsorted(screened.markers, [10, 20, 30, 40])
    wanted = place + np.array([0, 0, 0, 1]) * count  # the last by its heterozygotes
    columns = np.searchsorted(fitted.selected, wanted)
    assert_array_equal(fitted.selected[columns], wanted)
    sign = np.sign(fitted.coefficients[:, columns])
    assert_array_equal(sign[:, :3], np.tile([1, -1, 1], (6, 1)))
    assert (sign[:, 3] != 0).all()


def test_predictions_are_the_features_times_their_coefficients(study, screened, fitted):
    stepped = steps_of(study, screened, fitted.selected)
    flat = columns_of(screened, fitted.selected, stepped).astype(float)
    for k in range(6):
        train = study.targets[0].known & (study.folded.fold != k)
        expected = (flat - flat[train].mean(0)) @ fitted.coefficients[k]
        assert_allclose(fitted.prediction[:, k], expected, atol=1e-4)
        assert not fitted.inner[study.folded.fold == k, k].any()
        assert fitted.inner[train, k].any()


def test_held_out_predictions_explain_the_phenotype(study, fitted):
    target, places = study.targets[0], np.arange(len(study.folded.fold))
    predicted = fitted.prediction[places, study.folded.fold]
    known = target.known
    assert np.corrcoef(predicted[known], target.values[known])[0, 1] > 0.6


def test_noise_selects_nothing_in_most_folds(drawn):
    y, dosage = drawn
    empty = []
    for seed in range(4):
        null = study_of(np.random.default_rng(seed).permutation(y), dosage)
        found = sparse(null, [screen(null, "variants", CONFIG, untracked)], 0, CONFIG)
        empty += [not row.any() for row in found.coefficients]
    assert np.mean(empty) >= 0.8


def test_noise_would_be_selected_if_the_inner_screens_saw_all_rows(drawn):
    y, dosage = drawn
    null = study_of(np.random.default_rng(0).permutation(y), dosage)
    honest = screen(null, "variants", CONFIG, untracked)
    leaking = honest._replace(features=np.repeat(honest.features[:, :, :1], 6, axis=2))
    found = sparse(null, [leaking], 0, CONFIG)
    assert np.mean([row.any() for row in found.coefficients]) >= 0.5


def test_several_modalities_are_fitted_jointly(study, screened):
    half = len(screened.markers)
    noise = np.random.default_rng(0).standard_normal(screened.values.shape).astype(np.float32)
    second = screened._replace(values=noise)
    joint = sparse(study, [screened, second], 0, replace(CONFIG, candidates=80))
    assert_array_equal(np.unique(joint.selected) == joint.selected, True)
    share = np.abs(joint.coefficients)[:, joint.selected < 2 * half].sum()
    assert share > 0.8 * np.abs(joint.coefficients).sum()


def test_views_are_the_training_fold_and_itself_less_each_inner_group(study):
    columns = candidates._training_residuals(study).reshape(len(study.folded.fold), 6, 6)
    residual = study.targets[0].residual
    for k in range(6):
        inner = study.folded.inner[k]
        for view in range(6):
            seen = (inner >= 0) & (inner != view - 1)
            assert_array_equal(columns[:, k, view], np.where(seen, residual[:, k], 0))


def test_a_path_follows_a_threshold_of_expression_by_steps(monkeypatch):
    rng = np.random.default_rng(21)
    expression = rng.standard_normal((1200, 40)).astype(np.float32)
    signal = 2.0 * (expression[:, 5] > 0.7) - 2.0 * (expression[:, 8] > 0.3)
    samples = pd.DataFrame(
        {"response": signal + rng.standard_normal(1200)}, index=[f"S{i}" for i in range(1200)]
    )
    markers = AnnData(expression, obs=samples[[]].copy())
    study = prepare(Cohort({"expression": markers}, samples), ["response"], [], CONFIG)
    screened = screen(study, "expression", CONFIG, untracked)

    def error() -> float:
        held = sparse(study, [screened], 0, CONFIG).prediction
        place = np.arange(len(held))
        left = study.targets[0].marginal - held[place, study.folded.fold]
        return float(np.var(left[study.targets[0].known]))

    stepped = error()
    monkeypatch.setattr(candidates, "BENT", 0)
    bent = error()
    # a line and a square leave a third of the signal of variance 1.6, the noise has variance 1
    assert bent > 1.35
    assert stepped < 1.2


def test_a_recessive_variant_is_one_step():
    rng = np.random.default_rng(22)
    dosage = rng.binomial(2, 0.5, (600, 60)).astype(np.int8)
    study = study_of(2.0 * (dosage[:, 7] == 2) + rng.standard_normal(600), dosage)
    screened = screen(study, "variants", CONFIG, untracked)
    found = sparse(study, [screened], 0, CONFIG)
    channel, column = np.divmod(found.selected, screened.values.shape[2])
    weight = np.abs(found.coefficients).mean(0)
    mine = screened.markers[column] == 7
    assert weight[mine & (channel == 3)].sum() > 3 * weight[mine & (channel != 3)].sum()


def test_the_best_markers_are_given_their_steps(screened):
    assert screened.channels == 5
    count = screened.values.shape[2]
    weak = screened._replace(strength=np.full_like(screened.strength, BENT_VARIANT_Z - 0.1))
    assert weak.wanted(40, 0, 0, 0).max() < 2 * count
    strength = screened.strength.copy()
    strength[:4, 0, 0, 0] = [9.0, 5.0, BENT_Z, BENT_Z - 0.1]
    other = screened._replace(modality="expression", strength=strength)
    found = other.wanted(4, 0, 0, 0)
    best = screened.features[:4, 0, 0, 0]
    assert_array_equal(found[:4], best)
    # the fourth does not stand out
    assert set(found[4:] % count) == set(best[:3] % count)
    assert len(found) == 4 + 19 * len(set(best[:3] % count))
