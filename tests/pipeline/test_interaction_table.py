"""The table of interactions: planted products found, LD and single effects not taken for them."""

from __future__ import annotations

from math import comb

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.sparse import csr_matrix

from genodl.config import DiscoverConfig
from genodl.pipeline.interact import COVARIATES, interact, panel
from genodl.pipeline.interactions import COLUMNS, _clumped, _spread, interactions
from genodl.pipeline.learn import Deep, Linear, Part, Proposal
from genodl.pipeline.partners import partners
from genodl.pipeline.study import Study, prepare
from genodl.rank.resemblance import Kin, membership
from genodl.screen.products import certain
from genodl.values import Cohort

SAMPLES, FOLDS = 500, 5
CONFIG = DiscoverConfig(folds=FOLDS, checks=0, members=0)
RNG = np.random.default_rng(0)
FIRST = RNG.binomial(1, 0.4, (2, SAMPLES, 40))
# a second variant beside each of the first forty, its alleles switched now and then
SECOND = np.where(RNG.random((2, SAMPLES, 40)) < 0.15, 1 - FIRST, FIRST)
DOSAGE = np.stack([FIRST.sum(0), SECOND.sum(0)], axis=2).reshape(SAMPLES, 80).astype(np.int8)
LEVEL = RNG.standard_normal((SAMPLES, 10)).astype(np.float32)
AGE = RNG.standard_normal(SAMPLES)
TISSUE = RNG.choice(["blood", "lung", "skin"], SAMPLES, p=[0.5, 0.3, 0.2])
NOISE = RNG.standard_normal(SAMPLES)
NO_KIN = Kin(csr_matrix((SAMPLES, SAMPLES)), csr_matrix((0, SAMPLES)))


def study_of(y: np.ndarray, covariates: tuple[str, ...] = (), *, pcs: int = 0) -> Study:
    samples = pd.DataFrame(
        {"response": y, "age": AGE, "tissue": TISSUE}, index=[f"S{i}" for i in range(SAMPLES)]
    )
    obs = samples[[]]
    place = np.arange(80)
    var = pd.DataFrame(
        {"contig": (place // 2 // 10).astype(str), "pos": 5_000_000 * (place // 2) + place + 1},
        index=[f"v{i}" for i in place],
    )
    genes = pd.DataFrame(index=[f"g{i}" for i in range(10)])
    modalities = {
        "variants": AnnData(DOSAGE, obs=obs.copy(), var=var),
        "expression": AnnData(LEVEL, obs=obs.copy(), var=genes),
    }
    config = DiscoverConfig(folds=FOLDS, checks=0, members=0, pcs=pcs)
    return prepare(Cohort(modalities, samples), ["response"], list(covariates), config)


def table_of(study: Study) -> tuple[pd.DataFrame, Part]:
    places = len(study.folded.fold)
    nothing = np.zeros((places, FOLDS), np.float32)
    linear = Linear(np.zeros(0, int), np.zeros((FOLDS, 0)), nothing, nothing)
    scanned = panel(study, CONFIG)
    part = interact(study, scanned, linear, 0, CONFIG)
    deep = Deep(part, part, np.zeros(FOLDS), None)
    return interactions(study, scanned, [linear], [deep], NO_KIN, CONFIG), part


def test_planted_products_are_found_and_say_where_they_are():
    y = 0.9 * (DOSAGE[:, 10] - 0.8) * (DOSAGE[:, 60] - 0.8) + 0.5 * DOSAGE[:, 30] * LEVEL[:, 4]
    table, part = table_of(study_of(y + NOISE))
    assert list(table.columns) == COLUMNS
    found = table[table["q_value"] < 0.1]
    pairs = [frozenset(p) for p in zip(found["marker_a"], found["marker_b"], strict=True)]
    # a variant or the one beside it
    assert len(pairs) == 2
    assert any(p & {"v10", "v11"} and p & {"v60", "v61"} for p in pairs)
    assert any(p & {"v30", "v31"} and "g4" in p for p in pairs)
    gene = found[found["modality_b"] == "expression"].iloc[0]
    assert (gene["contig_a"], gene["pos_a"] // 5_000_000, gene["contig_b"]) == ("1", 15, "")
    assert gene["pos_b"] is pd.NA
    assert (found["folds"] == FOLDS).all()
    assert (found["effect"] > 0).all()
    assert list(table["rank"]) == list(range(1, len(table) + 1))
    assert (table["q_value"] >= table["p_value"] - 1e-12).all()
    assert {p.fold for p in part.proposals} == set(range(FOLDS))


@pytest.mark.parametrize(("column", "name"), [("age", "age"), ("tissue", "tissue=lung")])
def test_a_product_with_a_covariate_is_found_and_credited_to_the_marker(column: str, name: str):
    effect = AGE if column == "age" else 2.0 * (TISSUE == "lung")
    y = (DOSAGE[:, 20] - 0.8) * effect + effect + 0.8 * NOISE
    table, part = table_of(study_of(y, (column,)))
    first = table.iloc[0]
    assert first["marker_a"] in ("v20", "v21")
    assert (first["marker_b"], first["modality_b"]) == (name, COVARIATES)
    assert first["q_value"] < 0.01
    assert list(part.attribution) == ["variants"]
    assert part.prediction.any()
    np.testing.assert_allclose(
        part.attribution["variants"].values.sum(1), part.prediction, atol=1e-5
    )


def test_every_level_is_a_partner_and_components_are_none():
    study = study_of(NOISE, ("age", "tissue"), pcs=2)
    config = DiscoverConfig(folds=FOLDS, checks=0, members=0, pcs=2)
    names, values = partners(study, config)
    assert names == ["age", "tissue=lung", "tissue=skin", "tissue=blood"]
    blood = study.folded.gather(values, SAMPLES)[:, 3]
    assert np.corrcoef(blood, TISSUE == "blood")[0, 1] == pytest.approx(1)
    scanned = panel(study, config)
    assert scanned.markers == len(scanned.column) - 4
    assert scanned.key(scanned.markers + 3) == (COVARIATES, 3)
    record = scanned.record(config)
    assert record["covariates"] == 4
    assert record["triples"] == scanned.markers * (scanned.markers - 1) * (scanned.markers - 2) // 6
    assert record["pairs"] == sum(range(scanned.markers)) + 4 * scanned.markers
    both = sum(range(scanned.markers))
    assert record["z"] == pytest.approx(np.sqrt(2 * np.log(both)))
    assert record["z_covariates"] == pytest.approx(np.sqrt(2 * np.log(4 * scanned.markers)))


def test_two_markers_of_one_neighbourhood_are_no_interaction():
    # an untyped variant that the haplotypes of two neighbours mark
    y = 1.5 * (FIRST[:, :, 7] * SECOND[:, :, 7]).sum(0) + 0.5 * NOISE
    table, _ = table_of(study_of(y))
    both = table["marker_a"].isin(["v14", "v15"]) & table["marker_b"].isin(["v14", "v15"])
    assert not both.any()
    assert not (table["q_value"] < 0.1).any()


def test_strong_single_effects_and_their_dominance_are_no_interaction():
    found = 0
    for seed in range(6):
        rng = np.random.default_rng([7, seed])
        chosen = rng.choice(80, 6, replace=False)
        y = DOSAGE[:, chosen].sum(1) + 2.0 * (DOSAGE[:, chosen[0]] == 1)
        table, _ = table_of(study_of(y + rng.standard_normal(SAMPLES)))
        found += (table["q_value"] < 0.1).any()
    assert found <= 2  # at a tenth of the runs, three or more have a chance of 1.6 %


def proposal(fold: int, first: int, second: int, z: float = 6.0) -> Proposal:
    return Proposal(fold, (("variants", first), ("variants", second)), z)


def test_pairs_of_two_loci_are_one_interaction_led_by_what_most_folds_propose():
    def same(p, q):
        """Columns of one ten are in LD."""
        tens = [sorted(column // 10 for _, column in pair) for pair in (p, q)]
        return tens[0] == tens[1]

    given = [
        *(proposal(0, 11, 21, 9.0), proposal(1, 22, 12), proposal(2, 22, 12)),
        *(proposal(0, 31, 21), proposal(1, 13, 23, 5.0)),
    ]
    first, second = _clumped(given, same)
    assert first.lead == (("variants", 22), ("variants", 12))
    assert [pair[0][1] for pair in first.others] == [11, 13]
    assert first.proposals == [given[0], given[1], given[2], given[4]]
    assert (second.lead, second.others) == ((("variants", 31), ("variants", 21)), [])
    assert _clumped([], same) == []


def test_an_interaction_that_neighbours_of_its_loci_tag_is_listed_once():
    # both ends have a neighbour of r2 near one half, and all four pairs are proposed
    tagged = np.array([[20, 60], [21, 60], [20, 61], [21, 61]])
    y = 1.2 * (DOSAGE[:, 20] - 0.8) * (DOSAGE[:, 60] - 0.8) + 0.8 * NOISE
    study = study_of(y)
    empty = np.zeros((len(study.folded.fold), FOLDS), np.float32)
    linear = Linear(np.zeros(0, int), np.zeros((FOLDS, 0)), empty, empty)
    pairs = tuple(
        proposal(k, a, b, 9.0 - i) for k in range(FOLDS) for i, (a, b) in enumerate(tagged)
    )
    part = Part(empty[:, 0], empty, {}, pairs)
    deep = Deep(part, part, np.zeros(FOLDS), None)
    table = interactions(study, panel(study, CONFIG), [linear], [deep], NO_KIN, CONFIG)
    assert len(table) == 1
    row = table.iloc[0]
    assert (row["marker_a"], row["marker_b"], row["folds"]) == ("v20", "v60", FOLDS)
    assert row["others"].split(";") == ["v21 x v60", "v20 x v61", "v21 x v61"]
    # the least of the held-out p-values is paid for by every fold and every pair of one
    alone = part._replace(proposals=pairs[::4])
    deep = Deep(alone, alone, np.zeros(FOLDS), None)
    single = interactions(study, panel(study, CONFIG), [linear], [deep], NO_KIN, CONFIG).iloc[0]
    assert row["held_out_p"] == pytest.approx(4 * single["held_out_p"])
    assert row["p_unselected"] == pytest.approx(single["p_unselected"])
    assert single["others"] == ""


def test_a_product_of_three_is_one_interaction_of_three_markers():
    a, b, c = (DOSAGE[:, place] - DOSAGE[:, place].mean() for place in (10, 50, 70))
    table, part = table_of(study_of(2.0 * a * b * c + 0.8 * NOISE))
    found = table[table["q_value"] < 0.1]
    first = found.iloc[0]
    assert len(found) == 1
    assert first["marker_a"] in ("v10", "v11")
    assert first["marker_b"] in ("v50", "v51")
    assert first["marker_c"] in ("v70", "v71")
    assert (first["modality_c"], first["contig_c"]) == ("variants", "3")
    assert first["pos_c"] in (175_000_071, 175_000_072)
    # each of the three is credited with a third
    shared = part.attribution["variants"].values
    np.testing.assert_allclose(shared.sum(1), part.prediction, atol=1e-5)
    assert np.corrcoef(part.prediction, shared[:, 0])[0, 1] == pytest.approx(1)


def test_products_of_two_are_none_of_three_and_leave_the_third_empty():
    y = 0.9 * (DOSAGE[:, 10] - 0.8) * (DOSAGE[:, 60] - 0.8) + 0.4 * DOSAGE[:, 30] + NOISE
    table, part = table_of(study_of(y))
    sure = {len(p.factors) for p in part.proposals if abs(p.z) > certain(comb(90, 3))}
    assert sure == {2}
    pairs = table[table["q_value"] < 0.1]
    assert (pairs["marker_c"] == "").all()
    assert pairs["pos_c"].isna().all()


def test_a_table_without_rows_keeps_its_columns():
    study = study_of(NOISE)
    empty = np.zeros((len(study.folded.fold), FOLDS), np.float32)
    linear = Linear(np.zeros(0, int), np.zeros((FOLDS, 0)), empty, empty)
    part = Part(empty[:, 0], empty, {})
    deep = Deep(part, part, np.zeros(FOLDS), None)
    table = interactions(study, panel(study, CONFIG), [linear], [deep], NO_KIN, CONFIG)
    assert list(table.columns) == COLUMNS
    assert len(table) == 0


def test_twins_count_once_and_unknown_ones_not_at_all():
    # twins alike in phenotype and direction double the variance of the score
    alike = np.repeat(RNG.standard_normal(40), 2)
    twins = Kin(csr_matrix((80, 80)), membership(np.repeat(np.arange(40), 2)))
    known = np.ones(80, bool)
    assert _spread(alike, known, twins)(alike) == pytest.approx(2, rel=0.01)
    # of each pair one is unknown: nobody is left to resemble
    assert _spread(alike, np.arange(80) % 2 == 0, twins)(alike) == 1
