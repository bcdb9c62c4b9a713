"""The exhaustive scan of products: against brute force, planted, and on noise."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import integrate, optimize, stats

from genodl.screen.pairs import HALF, OF_A_TILE, TILE, TOLD, _telling, count, shortlist
from genodl.screen.products import CARRIERS, MOST, Products, bound, certain, exact_scores, propose


def panel(seed: int, *, samples: int = 500, markers: int = 40) -> np.ndarray:
    """Standardised dosages of independent common variants."""
    rng = np.random.default_rng(seed)
    dosage = rng.binomial(2, rng.uniform(0.2, 0.8, markers), (samples, markers))
    return ((dosage - dosage.mean(0)) / dosage.std(0)).astype(np.float32)


def centred(y: np.ndarray) -> np.ndarray:
    return (y - y.mean()).astype(np.float32)


def scan_pairs(x: np.ndarray, e: np.ndarray, *, most: int = MOST) -> Products:
    """Pairs whose product is associated with a residual beyond the bound."""
    pairs = shortlist(x, e)
    z = exact_scores(x, e[None], pairs)[0]
    return propose(x, e, pairs, z, threshold=bound(count(x.shape[1])[0]), most=most)


def brute_force(x: np.ndarray, e: np.ndarray) -> dict[tuple[int, int], float]:
    """z of every pair, one regression at a time."""
    train = e != 0
    x, e = x[train].astype(float), e[train].astype(float)
    scores = {}
    for a in range(x.shape[1]):
        for b in range(a + 1, x.shape[1]):
            a1, b1 = x[:, a], x[:, b]
            factors = np.column_stack([np.ones(len(e)), a1, b1, a1**2, b1**2])
            product = x[:, a] * x[:, b]
            product = product - factors @ np.linalg.lstsq(factors, product, rcond=None)[0]
            sandwich = (product**2 * e**2).sum()
            plain = (product**2).sum() * (e**2).mean()
            scores[a, b] = product @ e / np.sqrt(max(sandwich, plain))
    return scores


def test_the_bound_is_the_usual_one_for_the_largest_of_many_deviates():
    assert bound(count(3)[0]) == pytest.approx(np.sqrt(2 * np.log(3)))
    assert bound(count(2000)[0]) == pytest.approx(np.sqrt(2 * np.log(2000 * 1999 / 2)))
    rng = np.random.default_rng(0)
    largest = np.abs(rng.standard_normal((200, 40 * 39 // 2))).max(1)
    assert (
        0.1 < (largest > bound(count(40)[0])).mean() < 0.35
    )  # one or both tails of the extreme value


def test_exact_scores_are_those_of_brute_force():
    x = panel(1)
    e = centred(0.5 * x[:, 3] * x[:, 17] + np.random.default_rng(1).standard_normal(500))
    e[::9] = 0
    e[e != 0] -= e[e != 0].mean()
    scores = brute_force(x, e)
    other = np.where(np.arange(500) % 7 > 0, e, 0)
    other[other != 0] -= other[other != 0].mean()
    found = exact_scores(x, np.stack([e, other]), np.array(list(scores)).T)
    assert_allclose(found[0], list(scores.values()), atol=2e-3)
    assert_allclose(found[1], list(brute_force(x, other).values()), atol=2e-3)


def test_pairs_beyond_the_bound_are_found_and_what_repeats_them_is_left_out():
    x = panel(1)
    x = np.concatenate([x, x[:, :4] + 0.3 * panel(11)[:, :4]], axis=1)  # 43 is near 3
    signal = 0.5 * x[:, 3] * x[:, 17] - 0.4 * x[:, 5] * x[:, 6] + 0.3 * x[:, 17] * x[:, 20]
    e = centred(signal + np.random.default_rng(1).standard_normal(500))
    scores = brute_force(x, e)
    beyond = {pair for pair, z in scores.items() if abs(z) > bound(count(44)[0])}
    found = scan_pairs(x, e)
    pairs = list(zip(*found.columns.tolist(), strict=True))
    assert {(5, 6), (17, 20), (3, 17), (17, 43)} <= beyond
    assert len(pairs) == len(set(pairs)) == 3
    assert {(5, 6), (17, 20)} < set(pairs) < beyond
    assert len({(3, 17), (17, 43)} & set(pairs)) == 1
    assert_allclose(found.z, [scores[pair] for pair in pairs], rtol=1e-2)


def test_all_folds_are_scanned_at_the_price_of_one_and_leave_their_own_samples_out():
    x = panel(8, samples=600, markers=50)
    # three products, each in the samples of one fold alone: the fold that misses it finds nothing
    fold = np.repeat(np.arange(3), 200)
    e = np.random.default_rng(8).standard_normal(600)
    e += 2.0 * x[:, 4] * x[:, 9] * (fold == 0)
    shared = centred(e)
    pairs = shortlist(x, shared, folds=3)
    assert len(set(zip(*pairs.tolist(), strict=True))) == pairs.shape[1]
    for k in range(3):
        response = np.where(fold != k, shared, 0)
        response = np.where(fold != k, response - response[fold != k].mean(), 0).astype(np.float32)
        alone = scan_pairs(x, response)
        z = exact_scores(x, response[None], pairs)[0]
        found = propose(x, response, pairs, z, threshold=bound(count(50)[0]))
        assert_array_equal(found.columns, alone.columns)
        assert ((4, 9) in zip(*found.columns, strict=True)) == (k != 0)


@pytest.mark.parametrize("law", ["normal", "laplace", "heavy", "binary"])
def test_no_pair_beyond_the_bound_is_missed_by_scanning_the_telling_samples(law: str):
    rng = np.random.default_rng([21, len(law)])
    x = panel(21, samples=1000, markers=900)
    planted = rng.choice(900, (2, 8), replace=False)
    signal = 0.23 * (x[:, planted[0]] * x[:, planted[1]]).sum(1)
    drawn = {"heavy": rng.standard_t(2.5, 1000), "laplace": rng.laplace(size=1000)}
    noise = drawn.get(law, rng.standard_normal(1000))
    y = signal + noise / noise.std()
    e = centred((y > 0).astype(float) if law == "binary" else y)
    z = np.abs(np.triu((x.T * e) @ x, 1)) / np.sqrt(np.square(e).sum())
    beyond = set(zip(*np.nonzero(z > bound(count(900)[0])), strict=True))
    assert len(beyond) >= 2
    assert beyond <= set(zip(*shortlist(x, e), strict=True))


def test_the_telling_samples_are_the_larger_half_or_hold_their_share_of_the_energy():
    e = np.zeros(64, np.float32)
    e[[3, 10, 20, 40, 50]] = [-8, 4, 3, -2, 1]  # squares 64 16 9 4 1, of 94
    # 80 is 0.851: two; half of five is three; and up to a sixteenth of all
    assert _telling(e).tolist() == [3, 10, 20, 40]
    heavy = np.where(np.arange(64) == 7, 90, 1 + np.arange(64) / 64)  # nearly all of the energy
    assert _telling(heavy).tolist() == [7, *range(33, 64)]
    assert len(_telling(np.tile([1.0, -1.0], 32))) == 56  # 0.85 of 64 is 54.4


@pytest.mark.parametrize(
    "law",
    [stats.norm, stats.laplace, stats.uniform(-1, 2), *(stats.t(df) for df in (2.5, 3, 5))],
    ids=["normal", "laplace", "uniform", "t2.5", "t3", "t5"],
)
def test_a_pair_at_the_bound_stands_far_above_what_a_tile_passes_over(law):
    def energy(beyond: float) -> float:
        inside = integrate.quad(lambda x: x**2 * law.pdf(x), 0, beyond, limit=200)[0]
        return 1 - 2 * inside / law.var()

    # half of the samples, or more until they have their share of the energy
    edge = law.isf(HALF / 2)
    if energy(edge) < TOLD:
        edge = optimize.brentq(lambda c: energy(c) - TOLD, 1e-6, edge)
    share = energy(edge)
    # a small shift of the response moves the sum over the samples beyond the edge by so much
    kept = 2 * law.sf(edge) + 2 * edge * law.pdf(edge)
    passed = stats.norm.isf(OF_A_TILE / TILE**2 / 2) * np.sqrt(share)
    error = np.sqrt(share * (1 - share))
    assert (bound(count(20_000)[0]) * kept - passed) / error > 8.5


def test_partners_are_paired_with_markers_and_not_with_each_other():
    x = panel(9)
    e = x[:, 3] * x[:, 38] + x[:, 36] * x[:, 39] + np.random.default_rng(9).standard_normal(500)
    first, second = shortlist(x, centred(e), markers=35)
    assert (first[0], second[0]) == (3, 38)
    assert (first < 35).all()
    assert (first < second).all()
    assert count(35, 5) == (35 * 34 // 2, 35 * 5)


def test_pairs_come_strongest_first_each_once_and_in_order():
    x = panel(2)
    signal = x[:, 30] * x[:, 2] - 0.6 * x[:, 11] * x[:, 4]
    found = scan_pairs(x, centred(signal + np.random.default_rng(2).standard_normal(500)))
    assert tuple(found.columns[:, 0]) == (2, 30)
    assert tuple(found.columns[:, 1]) == (4, 11)
    assert found.z[0] > 0 > found.z[1]
    assert (found.columns[0] < found.columns[1]).all()
    assert (np.diff(np.abs(found.z)) <= 0).all()
    assert len(set(zip(*found.columns, strict=True))) == len(found.z)


def test_no_more_pairs_are_returned_than_asked_for():
    x = panel(3)
    signal = x[:, :10].sum(1) ** 2
    assert len(scan_pairs(x, centred(signal)).z) > 3
    few, many = (scan_pairs(x, centred(signal), most=n) for n in (3, 10))
    assert_array_equal(few.columns, many.columns[:, :3])


def test_a_pair_is_found_across_the_blocks_of_a_wide_panel():
    x = panel(4, samples=300, markers=1100)
    e = centred(x[:, 1020] * x[:, 1090] + np.random.default_rng(4).standard_normal(300))
    found = scan_pairs(x, e)
    assert tuple(found.columns[:, 0]) == (1020, 1090)
    e = centred(x[:, 7] * x[:, 1090] + np.random.default_rng(4).standard_normal(300))
    found = scan_pairs(x, e)
    assert tuple(found.columns[:, 0]) == (7, 1090)


def test_noise_passes_no_pair_most_of_the_time():
    draws = [np.random.default_rng(100 + s).standard_normal(500) for s in range(30)]
    passed = [len(scan_pairs(panel(s), centred(y)).z) for s, y in enumerate(draws)]
    assert np.mean(np.array(passed) == 0) >= 0.6
    assert max(passed) <= 3


def test_additive_effects_pass_no_pair():
    x = panel(5)
    e = centred(x[:, :3].sum(1) + np.random.default_rng(5).standard_normal(500))
    found = scan_pairs(x, e)
    assert not {0, 1, 2} & set(found.columns.ravel().tolist())


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
    assert isinstance(found, Products)
    assert (found.columns.shape, found.z.shape) == ((2, 0), (0,))


def test_a_product_is_certain_where_bonferroni_has_it_so():
    assert certain(3, level=0.05) == pytest.approx(stats.norm.isf(0.05 / 6))
    assert_allclose(certain(np.array([45, 40])), stats.norm.isf(0.01 / 2 / np.array([45, 40])))
    assert certain(1_000_000) > bound(1_000_000)
