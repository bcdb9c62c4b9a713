"""Loci from the knockoff filter."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from anndata import AnnData
from numpy.testing import assert_allclose

import genodl as gd
from genodl import simulate
from genodl.pipeline.knock import BLOCK, cliques, cut

QUICK = {"folds": 5, "members": 0, "pair_markers": 0, "checks": 0, "null": "knockoff"}


def test_blocks_are_cut_where_no_pair_is_parted():
    count = 2 * BLOCK
    pair = np.arange(0, count, 2)  # each variant is in LD with the next, except at one place
    near = scipy.sparse.csr_matrix((np.ones(count // 2), (pair, pair + 1)), shape=(count, count))
    near = near + near.T
    contig = np.repeat(["1", "2"], [count - 10, 10]).astype(object)
    blocks = cut(contig, np.arange(count), near)
    assert [len(b) % 2 for b in blocks] == [0] * len(blocks)
    assert max(map(len, blocks)) <= BLOCK
    assert_allclose(np.sort(np.concatenate(blocks)), np.arange(count))
    assert_allclose(blocks[-1], np.arange(count - 10, count))


def test_variants_in_any_order_are_cut_by_position():
    order = np.random.default_rng(1).permutation(BLOCK + 100)
    near = scipy.sparse.csr_matrix((BLOCK + 100, BLOCK + 100))
    blocks = cut(np.repeat("1", BLOCK + 100).astype(object), order, near)
    assert all(np.all(np.diff(order[b]) == 1) for b in blocks)


def test_each_group_becomes_a_locus():
    group = np.array([0, 1, 0, 2, 1])
    together = group[:, None] == group
    assert_allclose(cliques(group).toarray(), together & ~np.eye(5, dtype=bool))


def planted(seed, *, causal, samples=500, variants=300):
    """Independent variants in pairs of r2 near 0.5, of which some pairs act."""
    rng = np.random.default_rng(seed)
    dosage = rng.binomial(2, 0.4, (samples, variants)).astype(np.int8)
    copied = rng.random((samples, variants // 2)) < 0.7
    dosage[:, 1::2] = np.where(copied, dosage[:, ::2], dosage[:, 1::2])
    acting = rng.choice(variants // 2, causal, replace=False) * 2
    y = dosage[:, acting].sum(1) * 0.6 + rng.standard_normal(samples) * 1.2
    names = [f"S{i}" for i in range(samples)]
    var = pd.DataFrame({"contig": "1", "pos": np.arange(variants) // 2 * 10_000_000 + 1})
    var["pos"] += np.arange(variants) % 2 * 1000
    var = var.assign(ref="A", alt="G", id=".").set_index("v" + var.index.astype(str))
    samples_table = pd.DataFrame({"trait": y}, names)
    modality = AnnData(dosage, obs=pd.DataFrame(index=names), var=var)
    return gd.Cohort({"variants": modality}, samples_table), {f"v{i}" for i in acting}


def false_and_true(cohort, acting):
    """False discovery proportion and power over loci at q <= 0.1."""
    found = gd.discover(cohort, phenotype="trait", seed=6, **QUICK)
    loci, markers = found.loci, found.markers
    chosen = loci[loci["q_value"] <= 0.1]
    hit = markers[markers["marker"].isin(acting)]["locus"]
    true = chosen["locus"].isin(hit).sum()
    return 1 - true / max(len(chosen), 1) if len(chosen) else 0.0, true / len(acting), found


def test_planted_loci_are_selected_and_few_others():
    """The rate itself is tested over many cohorts beside `rank.knockoffs`; this is one draw."""
    proportion, power, found = false_and_true(*planted(610, causal=25))
    assert proportion <= 0.25
    assert power > 0.8
    loci, markers = found.loci, found.markers
    assert len(loci) == 150
    assert loci["q_value"].is_monotonic_increasing
    assert (loci["q_value"][loci["w_knockoff"] <= 0] == 1).all()
    joined = markers.merge(loci, on="locus", suffixes=("", "_locus"))
    assert_allclose(joined["q_value"], joined["q_value_locus"])


@pytest.mark.long
def test_variants_in_strong_ld_are_told_apart_by_their_representatives():
    """Knockoffs of every variant would be copies: nothing was selected in such a cohort."""
    made = simulate.cohort(
        seed=612, samples=700, variants=600, genes=0, markers={"additive": 20}, h2=0.7,
        ancestries=1, confounder=False, spacing=20_000.0, maf=0.05,
    )  # fmt: skip
    found = gd.discover(made.cohort, phenotype="response", covariates=["age", "sex"], **QUICK)
    chosen = found.loci[found.loci["q_value"] <= 0.1]
    x = np.asarray(made.cohort.modalities["variants"].X, float)
    x[x < 0] = np.nan
    r2 = pd.DataFrame(x, columns=made.cohort.modalities["variants"].var_names).corr() ** 2
    near = found.markers["marker"].isin(r2.index[(r2[made.truth["marker"]] >= 0.1).any(axis=1)])
    true = chosen["locus"].isin(found.markers.loc[near, "locus"])
    assert len(chosen) >= 10
    assert true.mean() >= 0.8


def test_too_few_signals_select_nothing():
    """One true locus cannot reach (1 + 0) / 1 <= 0.1: the threshold is infinite."""
    found = false_and_true(*planted(620, causal=1))[2]
    assert (found.loci["q_value"] > 0.1).all()
    assert found.calibration["trait"]["n_discoveries"] == 0
    assert found.loci["p_value"].min() < 1e-4


def test_more_genes_than_can_be_made_jointly_are_refused(monkeypatch):
    monkeypatch.setattr("genodl.pipeline.knock.LARGEST", 10)
    rng = np.random.default_rng(7)
    genes = AnnData(rng.standard_normal((60, 20)).astype(np.float32))
    cohort = gd.Cohort(
        {"expression": genes}, pd.DataFrame({"trait": rng.random(60)}, genes.obs_names)
    )
    with pytest.raises(gd.errors.InputError, match="permutation"):
        gd.discover(cohort, phenotype="trait", **QUICK)
