"""The scan of products of three: against brute force, planted, and on noise."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from genodl.screen import triples
from genodl.screen.products import bound, certain, exact_scores, propose
from genodl.screen.triples import TILE, shortlist_triples, stand_out


def panel(seed: int, *, samples: int = 600, markers: int = 20) -> np.ndarray:
    """Standardised dosages of independent common variants."""
    rng = np.random.default_rng(seed)
    dosage = rng.binomial(2, rng.uniform(0.25, 0.75, markers), (samples, markers))
    return ((dosage - dosage.mean(0)) / dosage.std(0)).astype(np.float32)


def centred(y: np.ndarray) -> np.ndarray:
    return (y - y.mean()).astype(np.float32)


def brute_force(x: np.ndarray, e: np.ndarray) -> dict[tuple[int, ...], float]:
    """z of every product of three, one regression on all of lower order at a time."""
    x, e = x.astype(float), e.astype(float)
    scores = {}
    for places in combinations(range(x.shape[1]), 3):
        factors = [x[:, place] for place in places]
        lower = [np.ones(len(e)), *factors, *(f**2 for f in factors)]
        lower += [f * g for f, g in combinations(factors, 2)]
        product, design = np.prod(factors, axis=0), np.column_stack(lower)
        product = product - design @ np.linalg.lstsq(design, product, rcond=None)[0]
        plain = (product**2).sum() * (e**2).mean()
        scores[places] = product @ e / np.sqrt(max((product**2 * e**2).sum(), plain))
    return scores


def test_exact_scores_of_three_are_those_of_brute_force():
    x = panel(1, markers=9)
    signal = 0.4 * x[:, 2] * x[:, 5] * x[:, 7] + 0.5 * x[:, 2] * x[:, 5] + x[:, 1]
    e = centred(signal + np.random.default_rng(1).standard_normal(600))
    scores = brute_force(x, e)
    found = exact_scores(x, e[None], np.array(list(scores)).T)[0]
    assert_allclose(found, list(scores.values()), atol=5e-3)


def test_the_strongest_products_of_brute_force_are_listed_each_once_in_order():
    x = panel(2)
    signal = 0.5 * x[:, 3] * x[:, 8] * x[:, 15] - 0.4 * x[:, 0] * x[:, 8] * x[:, 19]
    e = centred(signal + np.random.default_rng(2).standard_normal(600))
    listed = shortlist_triples(x, e)
    assert tuple(listed[:, 0]) == (3, 8, 15)
    assert tuple(listed[:, 1]) == (0, 8, 19)
    assert len(set(map(tuple, listed.T))) == listed.shape[1]
    assert (np.diff(listed, axis=0) > 0).all()
    scores = brute_force(x, e)
    beyond = {places for places, z in scores.items() if abs(z) > bound(comb(20, 3))}
    assert beyond
    assert beyond <= set(map(tuple, listed.T.tolist()))
    z = exact_scores(x, e[None], listed)[0]
    found = propose(x, e, listed, z, threshold=bound(comb(20, 3)))
    assert set(map(tuple, found.columns.T.tolist())) <= beyond
    assert_allclose(found.z, [scores[tuple(c)] for c in found.columns.T.tolist()], rtol=1e-2)


def test_a_product_is_found_across_the_cubes_of_a_wide_panel():
    x = panel(3, markers=TILE + 40)
    for places in ([5, TILE + 3, TILE + 30], [5, 9, TILE + 3]):
        e = x[:, places].prod(1) + np.random.default_rng(3).standard_normal(600)
        assert_array_equal(shortlist_triples(x, centred(e))[:, 0], places)


def test_products_passed_over_are_none_of_the_strongest(monkeypatch):
    x = panel(5, markers=2 * TILE - 20)
    e = centred(np.random.default_rng(5).standard_normal(600))
    monkeypatch.setattr(triples, "SHORTLIST", 20_000)  # so many that none is passed over
    whole = shortlist_triples(x, e)
    monkeypatch.setattr(triples, "SHORTLIST", 40)
    assert_array_equal(shortlist_triples(x, e), whole[:, :40])


def test_markers_of_a_product_without_lower_effects_stand_out():
    x = panel(4, samples=2000, markers=400)
    y = 0.7 * x[:, 10] * x[:, 200] * x[:, 333] + np.random.default_rng(4).standard_normal(2000)
    chosen = stand_out(x, centred(y), 60)
    assert len(chosen) == 60
    assert (np.diff(chosen) > 0).all()
    assert {10, 200, 333} <= set(chosen.tolist())
    # by the mean alone they would not
    means = np.argsort(-np.abs(x.T @ centred(y)))[:60]
    assert not {10, 200, 333} <= set(means.tolist())


def test_those_that_stand_out_are_those_of_plain_regressions():
    """Dosages, 0/1 markers and normal columns; a seventh of the places are not used."""
    rng = np.random.default_rng(8)
    x = np.hstack([panel(8, markers=600), rng.standard_normal((600, 40))]).astype(np.float32)
    x[:, :30] = (x[:, :30] > 0) - (x[:, :30] > 0).mean(0)
    used = np.arange(600) % 7 > 0
    e = np.where(used, rng.standard_t(4, 600) * np.exp(0.3 * x[:, 40]), 0)
    e = np.where(used, e - e[used].mean(), 0).astype(np.float32)
    y, z = e[used], x[used].astype(float)
    spread = np.clip(y / np.sqrt((y**2).mean()), -triples.CLIP, triples.CLIP) ** 2
    spread = spread - spread.mean()

    def squared(column, response):
        r = np.corrcoef(column, response)[0, 1] if column.std() > 0.03 else 0.0
        return r**2 * len(response)

    strength = []
    for column in (z - z.mean(0)).T:
        bent = column**2 - (column**2).mean()
        bent = bent - column * (column @ bent) / (column @ column)
        strength.append(squared(column, y) + squared(column, spread) + squared(bent, spread))
    assert_array_equal(stand_out(x, e, 50), np.sort(np.argsort(strength)[::-1][:50]))


def test_which_stand_out_does_not_depend_on_the_scale_or_the_order_of_the_columns():
    x = panel(5, markers=70)
    e = centred(x[:, 1] * np.random.default_rng(5).standard_normal(600))
    order = np.random.default_rng(6).permutation(70)
    chosen = set(stand_out(x, e, 9).tolist())
    assert set(stand_out(x, 7 * e, 9).tolist()) == chosen
    assert set(order[stand_out(x[:, order], e, 9)].tolist()) == chosen
    assert 1 in chosen


@pytest.mark.parametrize("kind", ["normal", "t3", "outliers", "few cases"])
def test_noise_makes_no_fold_certain_of_a_product(kind: str):
    sure = 0
    for seed in range(8):
        rng = np.random.default_rng([8, seed])
        x = panel(100 + seed, samples=400, markers=80)
        draws = {
            "normal": rng.standard_normal(400),
            "t3": rng.standard_t(3, 400),
            "outliers": rng.standard_normal(400) * np.where(rng.random(400) < 0.01, 10, 1),
            "few cases": (rng.random(400) < 0.08).astype(float),
        }
        e = centred(draws[kind])
        listed = shortlist_triples(x, e)
        z = exact_scores(x, e[None], listed)[0]
        found = propose(x, e, listed, z, threshold=certain(comb(80, 3)))
        sure += len(found.z) > 0
    assert sure <= 1  # at one in a hundred each, two or more have a chance of 0.3 %


@pytest.mark.parametrize("markers", [0, 2])
def test_fewer_than_three_columns_have_no_product(markers: int):
    x = panel(9)[:, :markers]
    e = centred(np.random.default_rng(9).standard_normal(600))
    assert shortlist_triples(x, e).shape == (3, 0)
    assert_array_equal(stand_out(x, e, 5), np.arange(markers))
