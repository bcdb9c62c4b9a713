"""Ridge regression by relationship: left-out predictions against fits that leave out."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import Ridge

from genodl.screen import ridge as module
from genodl.screen.ridge import ridge, stack

SAMPLES, COLUMNS, FOLDS = 120, 200, 4


def problem(seed: int, *, signal: float):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((SAMPLES, COLUMNS))
    y = signal * x @ rng.standard_normal(COLUMNS) / np.sqrt(COLUMNS)
    y = y + rng.standard_normal(SAMPLES)
    fold = np.arange(SAMPLES) % FOLDS
    inner = np.stack([np.where(fold == k, -1, (fold - k - 1) % FOLDS) for k in range(FOLDS)])
    return x, y, fold, inner


@pytest.mark.parametrize("penalty", [0.5, 12.0])
def test_predictions_are_those_of_ridge_regression_without_the_rows(monkeypatch, penalty):
    monkeypatch.setattr(module, "PENALTIES", (penalty,))
    x, y, fold, inner = problem(1, signal=1.0)
    kernel = x @ x.T / COLUMNS
    found = ridge(kernel, np.tile(y[:, None, None], (1, FOLDS, 1)), fold=fold, inner=inner)
    alpha = penalty * np.trace(x @ x.T) / SAMPLES
    for k in range(FOLDS):
        train = fold != k
        centred = y - y[train].mean()
        model = Ridge(alpha=alpha, fit_intercept=False)
        whole = model.fit(x[train], centred[train]).predict(x[~train])
        assert_allclose((kernel @ found.weights[:, k, 0])[~train], whole, rtol=1e-3, atol=1e-4)
        assert not found.weights[~train, k].any()
        for group in range(FOLDS - 1):
            out, rows = inner[k] == group, train & (inner[k] != group)
            expected = model.fit(x[rows], centred[rows]).predict(x[out])
            assert_allclose(found.inner[out, k, 0], expected, rtol=1e-3, atol=1e-4)


def test_what_a_left_out_sample_has_does_not_reach_its_prediction(monkeypatch):
    monkeypatch.setattr(module, "PENALTIES", (1.0,))
    x, y, fold, inner = problem(2, signal=1.0)
    kernel = x @ x.T / COLUMNS
    mine = fold == 1
    # the mean of a training fold is taken out first, so it is left as it was
    jolt = np.random.default_rng(6).standard_normal(mine.sum())
    changed = y.copy()
    changed[mine] += 100 * (jolt - jolt.mean())
    one, other = (
        ridge(kernel, np.tile(v[:, None, None], (1, FOLDS, 1)), fold=fold, inner=inner)
        for v in (y, changed)
    )
    assert_allclose(one.weights[:, 1], other.weights[:, 1], atol=1e-4)
    # fold 1 is an inner group of fold 0: its own values shape the others' predictions alone
    assert_allclose(one.inner[mine, 0], other.inner[mine, 0], atol=2e-3)
    others = ~mine & (fold != 0)
    assert np.abs(one.inner[others, 0] - other.inner[others, 0]).max() > 1


def test_weights_of_two_predictions_are_those_of_least_squares():
    rng = np.random.default_rng(3)
    first, second = rng.standard_normal((2, 4000))
    y = 0.7 * first + 0.4 * second + 0.1 * rng.standard_normal(4000)
    assert_allclose(stack(y, first, second), (0.7, 0.4), atol=0.01)


def test_a_prediction_that_adds_nothing_gets_no_weight():
    rng = np.random.default_rng(4)
    given = 0
    for _ in range(40):
        first, second, noise = rng.standard_normal((3, 500))
        given += stack(first + noise, first, 0.3 * second)[1] > 0
    assert given <= 12


def test_many_small_effects_are_predicted_and_noise_is_not():
    x, y, fold, inner = problem(5, signal=2.0)
    kernel, stacked = x @ x.T / COLUMNS, np.tile(y[:, None, None], (1, FOLDS, 1))
    found = ridge(kernel, stacked, fold=fold, inner=inner)
    held = np.array([(kernel @ found.weights[:, fold[i], 0])[i] for i in range(SAMPLES)])
    assert np.corrcoef(held, y)[0, 1] > 0.3
