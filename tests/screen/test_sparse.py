"""The sparse path: exact, gated, and blind to the rows it is judged on."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import Lasso

from genodl.screen.sparse import PENALTIES, TWINS_R2, SparseFit, _distinct, sparse_path

SEEDS = range(30)
GROUPS = 5
SCREENED = 60


def distinct(features: np.ndarray, *, r2: float = TWINS_R2) -> np.ndarray:
    return _distinct(features.T @ features, r2=r2)


def best(values: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The columns of largest correlation with y, as a screen passes them on."""
    x = values - values.mean(0)
    score = np.abs(x.T @ (y - y.mean())) / np.sqrt((x**2).sum(0))
    return np.argsort(-score)[:SCREENED]


def fitted(values: np.ndarray, y: np.ndarray, *, leak: bool = False) -> SparseFit:
    """The path after a screen of the training rows and one without each inner group."""
    inner = np.arange(len(y)) % GROUPS
    features = best(values, y)
    without = [best(values[inner != g], y[inner != g]) for g in range(GROUPS)]
    return sparse_path(
        values,
        y,
        features=features,
        inner=inner,
        inner_features=[features] * GROUPS if leak else without,
    )


def planted(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((300, 200)).astype(np.float32)
    return values, values[:, :5] @ [1.0, -0.8, 0.6, 0.5, -0.5] + rng.standard_normal(300)


def noise(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((250, 2000)).astype(np.float32), rng.standard_normal(250)


def test_the_fit_is_the_lasso_at_one_of_the_penalties():
    values, y = planted()
    found = fitted(values, y)
    x = values[:, best(values, y)].astype(float)
    x, y = x - x.mean(0), y - y.mean()
    # the active columns of a lasso are correlated with its residual by exactly the penalty
    penalty = np.abs(x.T @ (y - x @ found.coefficients)).max() / len(y)
    largest = np.abs(x.T @ y).max() / len(y)
    assert np.abs(np.log(PENALTIES * largest / penalty)).min() < 0.02
    chosen = PENALTIES[np.abs(np.log(PENALTIES * largest / penalty)).argmin()] * largest
    reference = Lasso(alpha=chosen, fit_intercept=False, tol=1e-8, max_iter=10_000).fit(x, y)
    assert_allclose(found.coefficients, reference.coef_, atol=0.005)


def test_planted_features_are_selected_with_their_signs():
    values, y = planted()
    found = fitted(values, y)
    place = {column: k for k, column in enumerate(best(values, y))}
    assert_array_equal(np.sign(found.coefficients[[place[c] for c in range(5)]]), [1, -1, 1, 1, -1])


def test_inner_predictions_are_those_of_fits_without_the_group():
    values, y = planted()
    inner = np.arange(300) % GROUPS
    changed = np.where(inner == 2, y + np.random.default_rng(1).standard_normal(300), y)
    every = np.arange(20)
    settings = {"features": every, "inner": inner, "inner_features": [every] * GROUPS}
    first = sparse_path(values, y, **settings).inner
    second = sparse_path(values, changed, **settings).inner
    # the penalty may move a step and the mean of y does; what is learnt of the columns does not
    assert np.corrcoef(first[inner == 2], second[inner == 2])[0, 1] > 0.999
    assert np.corrcoef(first, y)[0, 1] > 0.7


def test_a_view_of_all_rows_agrees_with_the_left_out_predictions_of_its_group():
    values, y = planted(3)
    found = fitted(values, y)
    inner = np.arange(len(y)) % GROUPS
    assert found.views.shape == (GROUPS, len(y))
    own = found.views[inner, np.arange(len(y))]
    # rows are centred on all training rows, then on those of the fit
    assert_allclose(own - own.mean(), found.inner - found.inner.mean(), atol=0.02)
    # and a fit explains its own rows better than those it left out
    error = (y - y.mean() - found.views) ** 2
    kept = np.arange(GROUPS)[:, None] != inner
    assert error[kept].mean() < error[~kept].mean()


def test_nothing_is_selected_where_there_is_only_noise():
    empty = [not fitted(*noise(seed)).coefficients.any() for seed in SEEDS]
    assert np.mean(empty) >= 0.9


def test_a_screen_that_saw_the_inner_rows_would_select_noise():
    empty = [not fitted(*noise(seed), leak=True).coefficients.any() for seed in SEEDS]
    assert np.mean(empty) <= 0.1


@pytest.mark.parametrize(
    ("y", "columns"),
    [(np.full(50, 3.0), 4), (np.arange(50.0), 0)],
    ids=["a constant residual", "no feature"],
)
def test_nothing_is_selected_without_anything_to_learn(y: np.ndarray, columns: int):
    values = np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32)
    every = np.arange(columns)
    found = sparse_path(
        values, y, features=every, inner=np.arange(50) % 2, inner_features=[every] * 2
    )
    assert_array_equal(found.coefficients, np.zeros(columns))
    assert_array_equal(found.inner, np.zeros(50))


def test_copies_of_an_earlier_feature_are_dropped_as_by_hand():
    a, b = np.array([1.0, -1, 1, -1]), np.array([1.0, 1, -1, -1])
    features = np.column_stack([a, b, -2 * a, np.zeros(4), a + b, b + 0.1 * a])
    # r2 of a + b with a is a half, of b + a / 10 with b it is 1 / 1.01
    assert_array_equal(distinct(features), [0, 1, 4])
    assert_array_equal(distinct(features, r2=0.4), [0, 1])


def test_of_copies_the_most_wanted_stays_and_a_dropped_one_drops_no_other():
    rng = np.random.default_rng(0)
    a, b, c = np.linalg.qr(rng.standard_normal((50, 3)))[0].T
    chain = np.column_stack([a, a + 0.6 * b, a + 1.3 * b, c])
    r2 = np.corrcoef(chain.T) ** 2
    middle = 0.95 * r2[0, 1]
    assert r2[0, 2] < middle < r2[1, 2]
    assert_array_equal(distinct(chain, r2=middle), [0, 2, 3])
