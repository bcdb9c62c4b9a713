"""The faithfulness report tells a true ranking from a false one, and figures draw."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from genodl.attribute import assess, attribute
from genodl.errors import InputError


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def sparse(z):
    return z @ jnp.asarray([5.0, 0, 0, 0, 0, 0, 0, 0, 0, 1.0])


def test_deleting_the_one_input_in_use_empties_the_prediction_at_once():
    x = np.ones((4, 10), np.float32)
    found = assess(sparse, x, baseline=0.0)
    assert_allclose(found.deletion[[0, 1, 2, -1]], [1, 1 / 6, 0, 0], atol=1e-6)
    assert_allclose(found.insertion[[0, 1, 2, -1]], [0, 5 / 6, 1, 1], atol=1e-6)
    assert found.gain > 0.3
    assert found.worst_completeness < 1e-4


def test_a_method_that_shows_the_model_changes_with_shuffled_weights():
    first, last = drawn(30, 8, seed=1), drawn(8, seed=2)

    def predict(z):
        return jax.nn.relu(z @ first) @ last

    x = np.ones((6, 30), np.float32) + 0.1 * drawn(6, 30)
    found = assess(predict, x, baseline=0.0, steps=16)
    assert abs(found.randomised_correlation) < 0.5
    assert np.isnan(found.seed_correlation)
    again = assess(predict, x, baseline=0.0, steps=16, retrained=[predict])
    assert_allclose(again.seed_correlation, 1)


@pytest.mark.long
def test_seeds_of_a_sampling_method_agree_better_with_more_draws():
    predict, x, background = sparse, drawn(4, 10), drawn(5, 10, seed=3)
    kept = {"baseline": background, "method": "expected_gradients"}
    few = assess(predict, x, draws=2, **kept).seed_correlation
    many = assess(predict, x, draws=200, **kept).seed_correlation
    assert few < many < 1 + 1e-6


@pytest.mark.parametrize("kind", ["bars", "beeswarm", "track"])
def test_figures_draw(kind, tmp_path):
    x = drawn(20, 10)
    found = attribute(sparse, x, baseline=0.0)
    given = {"beeswarm": {"x": x}, "track": {"contigs": ["1"] * 6 + ["2"] * 4}}.get(kind, {})
    figure = found.plot(kind, names=[f"v{i}" for i in range(10)], top=5, **given)
    figure.savefig(tmp_path / "figure.png", dpi=60)
    assert (tmp_path / "figure.png").stat().st_size > 2000


def test_bars_are_ranked_by_mean_absolute_attribution():
    figure = attribute(sparse, np.ones((3, 10)), baseline=0.0).plot("bars", top=2)
    labels = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert labels == ["9", "0"]


def test_an_unknown_figure_is_met_with_the_nearest():
    with pytest.raises(InputError, match="'bars'"):
        attribute(sparse, drawn(3, 10), baseline=0.0).plot("bar")
