"""Tables of loci."""

from __future__ import annotations

import numpy as np
import pandas as pd

from genodl.pipeline.tables import _loci


def test_loci_that_share_both_ends_have_names_of_their_own():
    # markers a, b, c and d at two positions: a with c is one clump, b with d another
    positions = pd.DataFrame({"marker": list("abcd"), "contig": "1", "pos": [5, 5, 9, 9]})
    table = pd.DataFrame({"log_p": np.log([0.1, 0.2, 0.3, 0.4])})
    found = _loci(table, positions, np.array([0, 1]), np.array([0, 1, 0, 1]))
    assert found["locus"].tolist() == ["1:5-9", "1:5-9-2"]
    assert found["n_markers"].tolist() == [2, 2]
