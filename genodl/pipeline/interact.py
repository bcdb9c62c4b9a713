"""Products of markers, or of a marker and a covariate, that a training fold is sure of."""

from __future__ import annotations

from math import comb
from typing import NamedTuple

import numpy as np

from genodl.cohort.presence import VARIANTS
from genodl.cohort.structure import prune
from genodl.config import DiscoverConfig
from genodl.pipeline.learn import Attributed, Linear, Part, Proposal, Term
from genodl.pipeline.partners import carried, partners
from genodl.pipeline.states import NOWHERE, States
from genodl.pipeline.study import Study
from genodl.screen.pairs import count, shortlist
from genodl.screen.products import bound, certain, exact_scores, propose
from genodl.screen.sparse import SparseFit, sparse_path
from genodl.screen.triples import shortlist_triples, stand_out

COVARIATES = "covariates"
PRUNE_R2 = (0.8, 0.5, 0.35, 0.2, 0.1)  # the first that leaves few enough variants
FINE = 10_000  # variants beyond which thinning begins at the second


class Panel(NamedTuple):
    """Columns whose products are scanned: markers, then covariates.

    Attributes
    ----------
    modality : object, (columns,), name, `COVARIATES` for a covariate
    column : int, (columns,), column in the modality, or number of the covariate, see `partners`
    values : float32, (places, columns), additive channel; covariates are standardised
    markers : how many are markers; a covariate is a partner of markers alone
    """

    modality: np.ndarray
    column: np.ndarray
    values: np.ndarray
    markers: int

    def scanned(self, second: np.ndarray) -> np.ndarray:
        """How many pairs a pair is the best of, by its second column.

        Pairs of two markers are one family, products of a marker and a covariate, of which there
        are far fewer, another.
        """
        both, mixed = count(self.markers, len(self.column) - self.markers)
        return np.where(second < self.markers, both, mixed)

    def of_three(self, config: DiscoverConfig) -> int:
        """How many products of three markers a product of three is the best of."""
        return comb(min(config.triple_markers, self.markers), 3)

    def record(self, config: DiscoverConfig) -> dict[str, float]:
        """What is scanned, for the provenance."""
        partners = len(self.column) - self.markers
        both, mixed = count(self.markers, partners)
        found = {"markers": self.markers, "covariates": partners, "pairs": both + mixed}
        found |= {"triples": self.of_three(config)}
        return {**found, "z": float(bound(both)), "z_covariates": float(bound(mixed))}

    @property
    def partners(self) -> np.ndarray:
        """The covariates whose products are tested too, float32, (places, partners)."""
        return carried(self.values[:, self.markers :] if self.markers else self.values[:, :0])

    def key(self, column: int) -> tuple[str, int]:
        """Modality, and column in the modality, of a column of the panel."""
        return str(self.modality[column]), int(self.column[column])


def panel(study: Study, config: DiscoverConfig) -> Panel:
    """Variants thinned for LD, every other marker, and the covariates; phenotypes unseen.

    Where that makes more than `pair_markers` markers, variants are thinned further, by falling r2
    and at last evenly along the genome.
    """
    names, columns, values = [], [], []
    most = config.pair_markers // len(study.cohort.modalities)
    for name in study.cohort.modalities if most else ():
        kept = _kept(study, name, most, config)
        for start, width, channels in study.blocks(name):
            here = kept[(kept >= start) & (kept < start + width)]
            values.append(np.asarray(channels.values[0])[:, here - start])
        names.append(np.full(len(kept), name, object))
        columns.append(kept)
    markers = sum(map(len, columns))
    covariates = partners(study, config)[1]
    names.append(np.full(covariates.shape[1], COVARIATES, object))
    columns.append(np.arange(covariates.shape[1]))
    # a column is contiguous, as the scans want it
    laid = np.concatenate([*(v.T for v in values), covariates.T]).T
    return Panel(np.concatenate(names), np.concatenate(columns), laid, markers)


def interact(
    study: Study,
    scanned: Panel,
    linear: Linear,
    number: int,
    config: DiscoverConfig,
    states: States = NOWHERE,
) -> Part:
    """What products add to the sparse path, in each fold on its own.

    Each training fold proposes the products beyond what the best of all scanned reaches by chance;
    those that are certain are weighed by a second sparse path, with the same gate. What a product
    predicts is attributed to its markers in equal shares; a covariate takes none.

    The shortlists that are scored exactly are made of one response for all folds, the phenotype
    less what the covariates and the held-out sparse path say; whether a fold proposes a product is
    then decided by the response and the samples of that training fold alone. Which markers are
    scanned for products of three is decided by all samples too: by mean and spread along each
    marker alone, which of a product without effect foretells (z^3 / samples) of a standard error.
    """
    target, fold = study.targets[number], study.folded.fold
    places, folds = len(target.values), len(study.folded.rows)
    prediction = np.zeros(places, np.float32)
    inner = np.zeros((places, folds), np.float32)
    views = np.zeros((places, folds, study.folded.inner.max() + 1), np.float32)
    proposals: list[Proposal] = []
    learnt: list[Term] = []
    shares: dict[int, np.ndarray] = {}
    if not scanned.markers:
        return Part(prediction, inner, {})
    shared = target.marginal - linear.prediction[np.arange(places), fold]
    shared = _centred(shared, target.known)
    trained = [target.known & (fold != k) for k in range(folds)]
    responses = np.stack(
        [_centred(target.residual[:, k] - linear.inner[:, k], trained[k]) for k in range(folds)]
    )
    scans, scores = _scored(scanned, shared, responses, config, states, number)
    for k, (train, response) in enumerate(zip(trained, responses, strict=True)):
        found = [
            each
            for scan, z in zip(scans, scores, strict=True)
            for each in _proposed(scanned, response, scan, z[k])
        ]
        proposals += [Proposal(k, tuple(map(scanned.key, f)), z) for f, z, _ in found]
        used = [factors for factors, _, sure in found if sure]
        if not used:
            continue
        x = np.stack([scanned.values[:, list(factors)].prod(1) for factors in used], axis=1)
        centre = x[train].mean(0)
        x = x - centre
        weighed = _weighed(x, response, train, study.folded.inner[k])
        inner[train, k] = weighed.inner
        views[train, k] = weighed.views.T
        terms = x * weighed.coefficients.astype(np.float32) * (fold == k)[:, None]
        prediction += terms.sum(1)
        for place in np.flatnonzero(weighed.coefficients):
            coefficient = float(weighed.coefficients[place])
            learnt.append(Term(k, used[place], coefficient, float(centre[place])))
            _share(shares, [c for c in used[place] if c < scanned.markers], terms[:, place])
    spread = _by_modality(scanned, shares)
    return Part(prediction, inner, spread, tuple(proposals), views, tuple(learnt))


class _Scan(NamedTuple):
    """Products to be scored exactly.

    Attributes
    ----------
    columns : int, (order, products), of the panel
    among : of how many each is the best, (products,)
    """

    columns: np.ndarray
    among: np.ndarray


def _scored(
    scanned: Panel,
    shared: np.ndarray,
    responses: np.ndarray,
    config: DiscoverConfig,
    states: States,
    number: int,
) -> tuple[tuple[_Scan, _Scan], tuple[np.ndarray, np.ndarray]]:
    """The shortlists of pairs and of products of three, and their scores in each fold."""

    def make() -> dict[str, np.ndarray]:
        pairs = shortlist(scanned.values, shared, folds=len(responses), markers=scanned.markers)
        markers = scanned.values[:, : scanned.markers]
        chosen = stand_out(markers, shared, config.triple_markers)
        triples = chosen[shortlist_triples(markers[:, chosen], shared)]
        found = {"pairs": pairs, "triples": triples}
        z = {f"z_{n}": exact_scores(scanned.values, responses, c) for n, c in found.items()}
        return found | z

    told = {"panel": scanned.values, "shared": shared, "responses": responses}
    told["most"] = np.array([scanned.markers, config.triple_markers])
    found = states.arrays(f"products-{number}", told, make, large=("panel",))
    among = np.full(found["triples"].shape[1], scanned.of_three(config))
    pairs = _Scan(found["pairs"], scanned.scanned(found["pairs"][1]))
    return (pairs, _Scan(found["triples"], among)), (found["z_pairs"], found["z_triples"])


def _proposed(
    scanned: Panel, response: np.ndarray, scan: _Scan, z: np.ndarray
) -> list[tuple[tuple[int, ...], float, bool]]:
    """Factors of the products that a fold proposes, their z, and whether they are certain."""
    found = propose(scanned.values, response, scan.columns, z, threshold=bound(scan.among))
    sure = np.abs(found.z) > certain(scan.among[found.place])
    factors = map(tuple, found.columns.T.tolist())
    return list(zip(factors, found.z.tolist(), sure.tolist(), strict=True))


def _kept(study: Study, name: str, most: int, config: DiscoverConfig) -> np.ndarray:
    """At most so many columns of a modality, variants thinned for LD."""
    modality = study.cohort.modalities[name]
    kept = np.arange(modality.n_vars)
    limits = PRUNE_R2[1:] if len(kept) > FINE else PRUNE_R2
    for r2 in limits if name == VARIANTS else ():
        if r2 < limits[0] and len(kept) <= most:
            break
        kept = prune(
            np.asarray(modality.X),
            modality.var["contig"].to_numpy(),
            modality.var["pos"].to_numpy(),
            r2=r2,
            window=config.locus_window,
        )
    return kept[:: -(-len(kept) // most)] if len(kept) > most else kept


def _centred(response: np.ndarray, used: np.ndarray) -> np.ndarray:
    """float32, (places,), mean 0 over the places used, 0 elsewhere."""
    mean = response[used].mean() if used.any() else 0.0
    return np.where(used, response - mean, 0).astype(np.float32)


def _weighed(
    x: np.ndarray, response: np.ndarray, train: np.ndarray, inner: np.ndarray
) -> SparseFit:
    """The sparse path of the products of one fold."""
    # the bound has already done what a screen inside the inner groups would do
    every = np.arange(x.shape[1])
    group = inner[train]
    return sparse_path(
        x[train],
        response[train].astype(float),
        features=every,
        inner=group,
        inner_features=[every] * (group.max() + 1),
    )


def _share(shares: dict[int, np.ndarray], columns: list[int], term: np.ndarray) -> None:
    """Share what a product predicts equally among its markers."""
    for column in columns:
        share = shares.setdefault(int(column), np.zeros(len(term), np.float32))
        share += term / len(columns)


def _by_modality(scanned: Panel, shares: dict[int, np.ndarray]) -> dict[str, Attributed]:
    """Attributions sorted to the markers of each modality."""
    spread = {}
    for name in dict.fromkeys(scanned.modality[: scanned.markers]):
        mine = sorted(place for place in shares if scanned.modality[place] == name)
        if mine:
            values = np.stack([shares[place] for place in mine], axis=1)
            columns = scanned.column[mine].astype(int)
            spread[name] = Attributed(values, scanned.values[:, mine], columns)
    return spread
