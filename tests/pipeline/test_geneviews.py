"""What one gene gives for one target."""

from __future__ import annotations

import numpy as np
from test_leading import gene_of, view_of

from genodl.pipeline.geneviews import parts_of, tabled
from genodl.rank.forms import log_tail


def test_what_bends_an_index_is_untouched_by_a_linear_effect():
    rng = np.random.default_rng(3)
    gene = gene_of(rng.standard_normal((200, 3)))
    noise = rng.standard_normal((1_000, 200))
    # the index is found from a strong effect, and its bends see noise alone
    traits = noise + 0.5 * gene.linear.values[:, 0]
    p = np.exp(log_tail([parts_of(gene, view_of(y), None).bends for y in traits]))
    for level, most in ((0.2, 1.2), (0.05, 1.4)):
        assert (p < level).mean() < most * level
    assert (p < 0.2).mean() > 0.8 * 0.2


def test_a_sum_that_acts_beyond_a_threshold_is_seen_better_as_one_index_than_by_forms():
    rng = np.random.default_rng(4)
    index, forms = [], []
    for _ in range(30):
        gene = gene_of(rng.standard_normal((1_000, 6)))
        total = gene.linear.values @ rng.standard_normal(6)
        trait = 0.35 * (total > np.quantile(total, 0.8)) + rng.standard_normal(1_000)
        parts, _ = tabled([parts_of(gene, view_of(trait), None)])
        index.append(parts[5, 0])
        forms.append(parts[1, 0])
    assert np.mean(index) < np.mean(forms)
