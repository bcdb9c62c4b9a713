"""How the inputs of branches of genes are made of features, so that new samples have them too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from genodl.pipeline.branches import SLOTS, is_wide
from genodl.pipeline.encoded import Keys
from genodl.pipeline.members import Gene, genes_of, pairs_of
from genodl.pipeline.study import Study
from genodl.rank.annotate import Membership
from genodl.rank.forms import freed, multiplied, principal, products
from genodl.screen.directions import Directions

WIDTH = SLOTS // 2  # straight directions of a gene with many markers, and bent ones


class Wiring(NamedTuple):
    """The inputs of branches.

    Attributes
    ----------
    slots : gene -> of each input of its branch the key of a feature, see `Keys`, or -2 less the
        number of a direction
    member : of each gene with directions, keys of its markers' features
    directions : of those genes, `member` not filled in; None where there are none
    """

    slots: dict[int, np.ndarray]
    member: list[np.ndarray]
    directions: Directions | None

    def inputs(self, genes: np.ndarray, width: int) -> np.ndarray:
        """The inputs of a network whose branches are some genes, -1 where one has fewer."""
        padded = [np.full(width, -1) for _ in genes]
        for row, gene in zip(padded, genes, strict=True):
            own = self.slots[int(gene)]
            row[: len(own)] = own
        return np.concatenate(padded)

    def placed(self, every: np.ndarray) -> Directions | None:
        """The directions with their markers by place among the keys of all features."""
        if self.directions is None:
            return None
        member = np.full(self.directions.less.shape[:2], -1, np.int32)
        for row, own in zip(member, self.member, strict=True):
            row[: len(own)] = np.searchsorted(every, own)
        return self.directions._replace(member=member)


def wiring(study: Study, members: Membership, keys: Keys, genes: Iterable[int]) -> Wiring:
    """The inputs of the branches of some genes."""
    slots: dict[int, np.ndarray] = {}
    member: list[np.ndarray] = []
    wide: list[Directions] = []
    design = study.folded.gather(study.covariates, len(study.cohort.samples))
    inverse = np.linalg.pinv(design)
    for number, gene in genes_of(study, members, np.array(sorted(genes), int)):
        own = pairs_of(members, number)
        marked = list(zip(members.modality[own], members.column[own], strict=True))
        both = np.array([[keys.of(m, c, channel) for m, c in marked] for channel in (0, 1)], int)
        if not is_wide(len(own)):
            slots[number] = both.ravel()
            continue
        straight, bent = (min(each.values.shape[1], WIDTH) for each in (gene.linear, gene.bent))
        used = np.concatenate([np.arange(straight), WIDTH + np.arange(bent)])
        slots[number] = -2 - 2 * WIDTH * len(wide) - used
        member.append(both[0])
        wide.append(_directions(study, gene, inverse))
    return Wiring(slots, member, _stacked(wide) if wide else None)


def _directions(study: Study, gene: Gene, inverse: np.ndarray) -> Directions:
    """The directions of one gene, without the axis of genes; 0 where it has fewer.

    Parameters
    ----------
    inverse : float64, (columns, samples), pseudo-inverse of the covariates with the intercept
    """
    present = study.folded.present
    count = int(present.sum())
    straight, share = principal(gene.channels[0], present=count)
    formed = multiplied(gene.linear)
    rows = study.folded.gather(formed, len(study.cohort.samples)).astype(float)
    free = freed(formed, study.basis, present)
    bent, _ = principal(products(gene.linear, study.basis, present), present=count)
    bent = bent[:, :WIDTH]
    first, second = np.triu_indices(min(len(share), WIDTH))
    mixed = np.zeros((WIDTH, WIDTH, bent.shape[1]))
    mixed[first, second] = bent * np.where(first == second, 1, np.sqrt(2))[:, None]
    mixed = mixed[np.triu_indices(WIDTH)]
    parts = (
        straight[:, :WIDTH],
        np.sqrt(share[:WIDTH]),
        mixed,
        rows.mean(0) @ bent,
        inverse @ (rows - rows.mean(0)) @ bent,
        straight @ (gene.linear.values.T @ free / count) @ bent,
    )
    nobody = np.full(len(straight), -1, np.int32)
    return Directions(nobody, *map(_widened, parts))


def _widened(values: np.ndarray) -> np.ndarray:
    """The last axis padded to the width of directions, float32."""
    room = [(0, 0)] * (values.ndim - 1) + [(0, WIDTH - values.shape[-1])]
    return np.pad(values, room).astype(np.float32)


def _stacked(wide: Sequence[Directions]) -> Directions:
    """The directions of several genes, with as many markers as that which has most."""
    most = max(len(each.member) for each in wide)

    def padded(values: np.ndarray, fill: float = 0) -> np.ndarray:
        room = [(0, most - len(values))] + [(0, 0)] * (values.ndim - 1)
        return np.pad(values, room, constant_values=fill)

    each = [
        gene._replace(
            member=padded(gene.member, -1), straight=padded(gene.straight), less=padded(gene.less)
        )
        for gene in wide
    ]
    return Directions(*map(np.stack, zip(*each, strict=True)))
