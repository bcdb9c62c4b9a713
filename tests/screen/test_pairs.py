"""The exhaustive scan of products: against brute force, planted, and on noise."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from genodl.screen.pairs import CARRIERS, Pairs, bound, scan_pairs


def panel(seed: int, *, samples: int = 500, markers: int = 40) -> np.ndarray:
    """Standardised dosages of independent common variants."""
    rng = np.random.default_rng(seed)
    dosage = rng.binomial(2, rng.uniform(0.2, 0.8, markers), (samples, markers))
    return ((dosage - dosage.mean(0)) / dosage.std(0)).astype(np.float32)


def centred(y: np.ndarray) -> np.ndarray:
    return (y - y.mean()).astype(np.float32)


def brute_force(x: np.ndarray, e: np.ndarray) -> dict[tuple[int, int], float]:
    """z of every pair, one regression at a time."""
    train = e != 0
    x, e = x[train].astype(float), e[train].astype(float)
    scores = {}
    for a in range(x.shape[1]):
        for b in range(a + 1, x.shape[1]):
            factors = np.column_stack([np.ones(len(e)), x[:, a], x[:, b]])
            product = x[:, a] * x[:, b]
            product = product - factors @ np.linalg.lstsq(factors, product, rcond=None)[0]
            sandwich = (product**2 * e**2).sum()
            plain = (product**2).sum() * (e**2).mean()
            scores[a, b] = product @ e / np.sqrt(max(sandwich, plain))
    return scores


def test_the_bound_is_the_usual_one_for_the_largest_of_many_deviates():
    assert bound(3) == pytest.approx(np.sqrt(2 * np.log(3)))
    assert bound(2000) == pytest.approx(np.sqrt(2 * np.log(2000 * 1999 / 2)))
    rng = np.random.default_rng(0)
    largest = np.abs(rng.standard_normal((200, 40 * 39 // 2))).max(1)
    assert 0.1 < (largest > bound(40)).mean() < 0.35  # one or both tails of the extreme value


def test_all_pairs_beyond_the_bound_are_those_of_brute_force():
    x = panel(1)
    signal = 0.5 * x[:, 3] * x[:, 17] - 0.4 * x[:, 5] * x[:, 6] + 0.3 * x[:, 17] * x[:, 20]
    e = centred(signal + np.random.default_rng(1).standard_normal(500))
    e[::9] = 0
    e[e != 0] -= e[e != 0].mean()
    scores = brute_force(x, e)
    expected = {pair: z for pair, z in scores.items() if abs(z) > bound(40)}
    found = scan_pairs(x, e)
    pairs = zip(found.first.tolist(), found.second.tolist(), strict=True)
    assert {(3, 17), (5, 6)} <= expected.keys()
    assert set(pairs) == expected.keys()
    expected_z = [scores[a, b] for a, b in zip(found.first, found.second, strict=True)]
    assert_allclose(found.z, expected_z, rtol=1e-3)


def test_pairs_come_strongest_first_each_once_and_in_order():
    x = panel(2)
    signal = x[:, 30] * x[:, 2] - 0.6 * x[:, 11] * x[:, 4]
    found = scan_pairs(x, centred(signal + np.random.default_rng(2).standard_normal(500)))
    assert (found.first[0], found.second[0]) == (2, 30)
    assert (found.first[1], found.second[1]) == (4, 11)
    assert found.z[0] > 0 > found.z[1]
    assert (found.first < found.second).all()
    assert (np.diff(np.abs(found.z)) <= 0).all()
    assert len(set(zip(found.first, found.second, strict=True))) == len(found.z)


def test_no_more_pairs_are_returned_than_asked_for():
    x = panel(3)
    signal = x[:, :10].sum(1) ** 2
    assert len(scan_pairs(x, centred(signal)).z) > 3
    few, many = (scan_pairs(x, centred(signal), most=n) for n in (3, 10))
    assert_array_equal(few.first, many.first[:3])
    assert_array_equal(few.second, many.second[:3])


def test_a_pair_is_found_across_the_blocks_of_a_wide_panel():
    x = panel(4, samples=300, markers=1100)
    e = centred(x[:, 1020] * x[:, 1090] + np.random.default_rng(4).standard_normal(300))
    found = scan_pairs(x, e)
    assert (found.first[0], found.second[0]) == (1020, 1090)
    e = centred(x[:, 7] * x[:, 1090] + np.random.default_rng(4).standard_normal(300))
    found = scan_pairs(x, e)
    assert (found.first[0], found.second[0]) == (7, 1090)


def test_noise_passes_no_pair_most_of_the_time():
    draws = [np.random.default_rng(100 + s).standard_normal(500) for s in range(30)]
    passed = [len(scan_pairs(panel(s), centred(y)).z) for s, y in enumerate(draws)]
    assert np.mean(np.array(passed) == 0) >= 0.6
    assert max(passed) <= 3


def test_additive_effects_pass_no_pair():
    x = panel(5)
    e = centred(x[:, :3].sum(1) + np.random.default_rng(5).standard_normal(500))
    found = scan_pairs(x, e)
    assert not {0, 1, 2} & {*found.first.tolist(), *found.second.tolist()}


def carried_by(samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Two rare 0/1 markers that so many samples carry both of, and a residual high in those."""
    x = np.zeros((2000, 2), np.float32)
    x[:100, 0], x[100 - samples : 200 - samples, 1] = 1, 1
    e = np.random.default_rng(6).standard_normal(2000)
    e[100 - samples : 100] += 6
    return (x - x.mean(0)) / x.std(0), centred(e)


def test_a_product_passes_only_where_enough_samples_carry_it():
    assert 3 < CARRIERS < 25
    assert len(scan_pairs(*carried_by(3)).z) == 0
    assert len(scan_pairs(*carried_by(25)).z) == 1


@pytest.mark.parametrize(("samples", "markers"), [(100, 1), (100, 0), (8, 5)])
def test_nothing_is_scanned_in_too_small_a_panel(samples: int, markers: int):
    rng = np.random.default_rng(7)
    x = rng.standard_normal((samples, markers)).astype(np.float32)
    found = scan_pairs(x, centred(rng.standard_normal(samples)))
    assert isinstance(found, Pairs)
    assert [len(part) for part in found] == [0, 0, 0]
