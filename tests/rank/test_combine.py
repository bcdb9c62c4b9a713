"""Which directions count in full: those that the whole scan speaks for."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from genodl.rank.combine import (
    ALL,
    PARTNERS_WEIGHT,
    QUIET,
    SPEAKS,
    WEIGHTS,
    Voices,
    log_p_value,
    voices,
)
from genodl.rank.fdr import cauchy_combination

LARGE = 10**9  # degrees of freedom at which Student's law is the normal one


def drawn(seed: int, markers: int = 500, partners: int = 2) -> np.ndarray:
    """Scores of markers without effect; nothing for a network to be tested on."""
    z = np.random.default_rng(seed).standard_normal((3 + partners, markers))
    z[2] = 0
    return z


def heard_in(z: np.ndarray) -> Voices:
    return voices([z], active=np.ones((2, z.shape[1]), bool), freedom=LARGE)


def test_a_direction_is_heard_where_one_marker_is_too_strong_for_chance():
    quiet = drawn(1)
    assert heard_in(quiet) == Voices(second=False, partners=False)
    for row, expected in ((1, (True, False)), (3, (False, True)), (4, (False, True))):
        z = quiet.copy()
        z[row, 77] = -6.0
        assert heard_in(z) == expected
    # what the additive channel and the network say is no voice of another
    z = quiet.copy()
    z[0], z[2] = 9.0, 9.0
    assert heard_in(z) == Voices(second=False, partners=False)


def test_a_direction_is_heard_by_chance_as_often_as_promised():
    heard = np.array([heard_in(drawn(seed, markers=60)) for seed in range(2_000)])
    # two standard errors of a share of one in a hundred are 0.0045
    assert_allclose(heard.mean(0), SPEAKS, atol=0.007)


def test_a_channel_that_no_marker_has_is_not_heard():
    z = drawn(2)
    z[1, 5] = 9.0
    active = np.ones((2, 500), bool)
    active[1, 5] = False
    assert not voices([z], active=active, freedom=LARGE).second
    assert voices([z[:3, :0]], active=active[:, :0], freedom=LARGE) == (False, False)


@pytest.mark.parametrize("heard", [ALL, Voices(False, True), Voices(True, False)])
def test_what_is_not_heard_has_a_small_part_in_the_p_value(heard: Voices):
    z = np.array([1.5, -2.5, 0.0, 0.5, 3.0])[:, None]
    p = [
        *(2 * stats.norm.sf(1.5), np.exp(-(1.5**2 + 2.5**2) / 2)),
        *(2 * stats.norm.sf(0.5), 2 * stats.norm.sf(3.0)),
    ]
    products = (PARTNERS_WEIGHT if heard.partners else QUIET) / 2
    both = WEIGHTS[1] if heard.second else QUIET
    weight = np.array([WEIGHTS[0], both, products, products])
    expected = cauchy_combination(np.log(p), np.zeros(4, int), 1, weight=weight)
    found = log_p_value([z], active=np.ones((2, 1), bool), freedom=LARGE, heard=heard)
    assert_allclose(found, expected, rtol=1e-6)


def test_the_choice_leaves_p_values_of_noise_uniform():
    p = []
    for seed in range(400):
        z = drawn(1_000 + seed)
        active = np.ones((2, z.shape[1]), bool)
        p.append(np.exp(log_p_value([z], active=active, freedom=LARGE, heard=heard_in(z))))
    p = np.array(p)
    for level, most in ((0.05, 1.05), (0.01, 1.1), (0.001, 1.25)):
        assert (p < level).mean() < most * level
    # the smallest of a run, times the markers, is a discovery no more often than promised
    assert (p.min(1) * 500 < 0.1).mean() < 0.1 + 2 * np.sqrt(0.09 / 400)
