"""Shortlist of all pairs of so many markers, in a process of its own whose memory is weighed.

    python benchmarks/_pair_memory.py --markers 50000 --samples 2504

The panel is standardised random dosages, the response noise: what is scanned makes no difference
to the cost. Prints the pairs scanned and what the panel alone takes as JSON.
"""

from __future__ import annotations

import argparse
import json

import numpy as np

from genodl.screen.pairs import count, shortlist

FOLDS = 10


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--markers", type=int, default=50_000)
    parser.add_argument("--samples", type=int, default=2_500)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    panel = np.empty((given.samples, given.markers), np.float32)
    for column in range(given.markers):
        dosage = rng.binomial(2, rng.uniform(0.05, 0.5), given.samples)
        panel[:, column] = (dosage - dosage.mean()) / dosage.std()
    response = rng.standard_normal(given.samples).astype(np.float32)
    listed = shortlist(panel, response - response.mean(), folds=FOLDS)
    pairs, gigabytes = count(given.markers)[0], round(panel.nbytes / 1e9, 3)
    print(json.dumps({"pairs": pairs, "listed": listed.shape[1], "panel_gb": gigabytes}))


if __name__ == "__main__":
    main()
