"""The state of members between rounds: what is kept, who begins again, who stops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from genodl.errors import InputError
from genodl.models.network import Params


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How members are trained.

    Attributes
    ----------
    rounds : most rounds of training; early stopping looks at the end of each
    steps : minibatches a round
    batch : rows a step, at most a quarter of the rows: the shrinking needs noisy gradients
    learning_rate : step size of AdamW
    weight_decay : AdamW's decay of weight matrices
    sparsity : shrinking of the first layer in the first and the last round, in steps of AdamW:
        every step pulls each weight (each gene's branch) towards zero by this share of the
        learning rate, so weights whose gradient keeps no sign die; rising, it walks from a dense
        to a sparse network and the validation loss picks the place
    warmup : rounds before patience is counted
    patience : rounds without a better validation loss before a member stops
    restarts : times a member whose loss is not finite begins again, each at a tenth of the rate
    tried : factors of (learning_rate, sparsity) that every member is trained under, all in the
        same program; its own validation rows choose one, as they choose its stopping round
    masked : share of the alleles of a minibatch that are set to their mean, in [0, 1)
    mixup : parameter of the Beta law by which each row of a minibatch is mixed with another, of
        inputs and targets alike; 0 = not (Zhang et al., ICLR 2018)
    memory : bytes that the tasks trained at once may take
    frozen : parameters that keep the values they begin with, by the beginning of their names, such
        as dense0
    """

    rounds: int = 50
    steps: int = 5
    batch: int = 512
    learning_rate: float = 8e-3
    weight_decay: float = 1e-2
    sparsity: tuple[float, float] = (0.4, 1.0)
    warmup: int = 25
    patience: int = 10
    restarts: int = 2
    tried: tuple[tuple[float, float], ...] = ((1.0, 1.0),)
    masked: float = 0.0
    mixup: float = 0.0
    memory: int = 1 << 30
    frozen: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("rounds", "steps", "batch", "patience", "learning_rate", "memory"):
            if not getattr(self, name) > 0:
                raise InputError(
                    f"{name} is {getattr(self, name)}",
                    where="[train]",
                    mend=f"give {name} a value above 0",
                )
        if len(self.sparsity) != 2 or min(self.sparsity) < 0:
            raise InputError(
                f"sparsity is {tuple(self.sparsity)}",
                where="[train]",
                mend="give two values of 0 or more, for the first and the last round",
            )
        for name in ("weight_decay", "warmup", "restarts", "masked", "mixup"):
            if not getattr(self, name) >= 0:
                raise InputError(
                    f"{name} is {getattr(self, name)}",
                    where="[train]",
                    mend=f"give {name} a value of 0 or more",
                )
        if self.masked >= 1:
            raise InputError(
                f"masked is {self.masked}", where="[train]", mend="give a share below 1"
            )
        if not self.tried or any(len(pair) != 2 or min(pair) <= 0 for pair in self.tried):
            raise InputError(
                f"tried is {self.tried}",
                where="[train]",
                mend="give pairs of factors above 0, of learning_rate and of sparsity",
            )


class Progress(NamedTuple):
    """The state between rounds; axes begin with (tasks, members)."""

    params: Params
    moments: Any
    best: Params
    initial: jax.Array
    loss: jax.Array
    halves: jax.Array
    out_of_bag: jax.Array
    stale: jax.Array
    rate: jax.Array
    restarts: jax.Array
    active: jax.Array
    dropped: jax.Array
    rounds: jax.Array


def keep_best(
    state: Progress,
    found: jax.Array,
    prediction: jax.Array,
    held: jax.Array,
    *,
    config: TrainConfig,
) -> Progress:
    """The state with the best parameters and out-of-bag predictions so far."""
    better = state.active & (found[..., 0] < state.loss)
    halves = state.active[..., None] & (found[..., 1:] < state.halves)
    # The first half's loss decides for the rows of the second, and the other way round.
    chosen = jnp.where(held == 2, halves[..., :1], halves[..., 1:])
    stale = jnp.where(better | (state.rounds <= config.warmup), 0, state.stale + 1)
    return state._replace(
        best=_where(better, state.params, state.best),
        loss=jnp.where(better, found[..., 0], state.loss),
        halves=jnp.where(halves, found[..., 1:], state.halves),
        out_of_bag=jnp.where(chosen[..., None], prediction, state.out_of_bag),
        stale=stale,
        active=state.active & (stale < config.patience),
    )


def restart(
    state: Progress, broken: jax.Array, *, fresh: Params, moments: Any, config: TrainConfig
) -> Progress:
    """The state with broken members begun again at a tenth of the rate, or dropped."""
    last = state.restarts >= config.restarts
    again = jax.vmap(jax.vmap(moments.init))(fresh)
    return state._replace(
        params=_where(broken, fresh, state.params),
        moments=_where(broken, again, state.moments),
        stale=jnp.where(broken, 0, state.stale),
        rate=jnp.where(broken, state.rate * 0.1, state.rate),
        restarts=state.restarts + (broken & ~last),
        active=jnp.where(broken, ~last, state.active),
        dropped=state.dropped | (broken & last),
    )


def _where(condition: jax.Array, chosen: Any, other: Any) -> Any:
    """Leaves of one tree or the other by (tasks, members)."""

    def leaf(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.where(condition.reshape(condition.shape + (1,) * (a.ndim - 2)), a, b)

    return jax.tree.map(leaf, chosen, other)
