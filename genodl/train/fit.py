"""The compiled training loop: every member of every task in one program.

A task is one fold of one phenotype with its own inputs; a member is one network of its ensemble.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from genodl.models.network import Network, Params, apply, shrunk
from genodl.train.augment import changed
from genodl.train.loss import LOSSES, weighted_mean
from genodl.train.progress import Progress, TrainConfig, keep_best, restart


class Fit(NamedTuple):
    """What training gives; axes begin with (tasks, members).

    Attributes
    ----------
    params : the weights at the best validation loss
    out_of_bag : float32, (tasks, members, samples, outputs), predictions whose stopping round was
        chosen without the row; they mean something where the member held the row out
    loss : float32, validation loss at the best round
    halves : float32, (tasks, members, 2), the best of each half of the validation rows
    initial : float32, validation loss before training
    restarts : int32
    dropped : bool, the loss stayed non-finite
    """

    params: Params
    out_of_bag: jax.Array
    loss: jax.Array
    halves: jax.Array
    initial: jax.Array
    restarts: jax.Array
    dropped: jax.Array


class Job(NamedTuple):
    """Arrays that a training run reads and does not change.

    Attributes
    ----------
    x : float32, (tasks, samples, inputs), standardised
    y : float32, (tasks, samples, columns), standardised where the loss says so
    weight : float32, (tasks, samples), 0 = not for training
    held : int8, (tasks, members, samples), as `validation_splits` gives it
    offset : float32, (tasks, outputs), what is added to a network's outputs before the loss
    fresh : arrays, (tasks, members, ...), the initial parameters by name
    factors : float32, (tasks, members, 2), of the learning rate and of the sparsity
    order : int32, (rounds, steps, batch), the rows of each minibatch
    key : uint32, data of the JAX key of the dropout
    stop_by : int32, the rows that are predicted after a round, then the number of samples: those
        that some member of the task holds out, (tasks, rows), or that each does, (tasks, members,
        rows); None where every row is predicted
    """

    x: jax.Array
    y: jax.Array
    weight: jax.Array
    held: jax.Array
    offset: jax.Array
    fresh: Params
    factors: jax.Array
    order: jax.Array
    key: jax.Array
    stop_by: jax.Array | None = None


@partial(jax.jit, static_argnames=("net", "config", "loss"))
def begin(job: Job, *, net: Network, config: TrainConfig, loss: str) -> Progress:
    """The state of every member of every task before training."""
    moments = jax.vmap(jax.vmap(_optimiser(config).init))(job.fresh)
    stopping = _stopping(job)
    prediction = _everywhere(stopping, net, loss)(job.fresh)
    start = _validation(stopping, loss)(prediction)
    grid = job.held.shape[:2]
    return Progress(
        params=job.fresh,
        moments=moments,
        best=job.fresh,
        initial=start[..., 0],
        loss=start[..., 0],
        halves=start[..., 1:],
        out_of_bag=prediction,
        stale=jnp.zeros(grid, jnp.int32),
        rate=config.learning_rate * job.factors[..., 0],
        restarts=jnp.zeros(grid, jnp.int32),
        active=jnp.broadcast_to((job.weight > 0).any(axis=1)[:, None], grid),
        dropped=jnp.zeros(grid, bool),
        rounds=jnp.zeros((), jnp.int32),
    )


@partial(jax.jit, static_argnames=("net", "config", "loss"))
def advance(
    job: Job,
    state: Progress,
    until: jax.Array,
    *,
    net: Network,
    config: TrainConfig,
    loss: str,
) -> Progress:
    """Every member of every task, trained with early stopping up to a round.

    A member trains on all weighted rows but its validation split. Each half of that split stops
    the training for the other half's out-of-bag predictions, so these are honest; both halves
    together choose the parameters kept. Minibatches are shared. Stopping at a round and going on
    from there gives the same as not stopping.

    Parameters
    ----------
    until : int32, (), the round to stop before, at most that of the configuration
    """
    stopping = _stopping(job)
    losses, everywhere = _validation(stopping, loss), _everywhere(stopping, net, loss)
    passed = _round(job, net=net, config=config, loss=loss)

    def step(state: Progress) -> Progress:
        params, moments = passed(state)
        prediction = everywhere(params)
        found = losses(prediction)
        advanced = state._replace(params=params, moments=moments, rounds=state.rounds + 1)
        kept = keep_best(advanced, found, prediction, stopping.held, config=config)
        broken = ~jnp.isfinite(found).all(axis=-1) & state.active
        return restart(kept, broken, fresh=job.fresh, moments=_optimiser(config), config=config)

    return jax.lax.while_loop(lambda s: s.active.any() & (s.rounds < until), step, state)


@jax.jit
def finished(job: Job, state: Progress) -> Fit:
    """What the training has come to."""
    out_of_bag = state.out_of_bag
    if job.stop_by is not None:
        nothing = jnp.zeros((job.x.shape[1], *out_of_bag.shape[3:]))
        laid = _by_member(
            lambda found, rows: nothing.at[rows].set(found, mode="drop"), own=job.stop_by.ndim > 2
        )
        out_of_bag = laid(out_of_bag, job.stop_by)
    return Fit(
        params=state.best,
        out_of_bag=out_of_bag,
        loss=state.loss,
        halves=state.halves,
        initial=state.initial,
        restarts=state.restarts,
        dropped=state.dropped | ~jnp.isfinite(state.loss),
    )


def _stopping(job: Job) -> Job:
    """The job with the rows alone that its members stop by.

    Where each has rows of its own, x, y and weight are (tasks, members, rows, ...).
    """
    if job.stop_by is None:
        return job
    own = job.stop_by.ndim > 2

    def taken(values: jax.Array, rows: jax.Array) -> jax.Array:
        return values.at[rows].get(mode="fill", fill_value=0)

    def of_task(values: jax.Array, rows: jax.Array) -> jax.Array:
        return jax.vmap(taken, in_axes=(None, 0))(values, rows) if own else taken(values, rows)

    held = _by_member(taken, own=own)(job.held, job.stop_by)
    each = jax.vmap(of_task)
    x, y, weight = (each(values, job.stop_by) for values in (job.x, job.y, job.weight))
    return job._replace(x=x, y=y, weight=weight, held=held)


def _has_own(stopping: Job) -> bool:
    """Whether each member has rows of its own."""
    return stopping.x.ndim > 3


def _everywhere(job: Job, net: Network, loss: str) -> Callable[[Params], jax.Array]:
    """Predictions of the rows of a job, by every member of every task.

    Where the loss leaves their level open, the mean of the weighted rows is 0, so that rows that
    members predict in turn can be compared.
    """
    predict = _by_member(lambda params, rows: apply(net, params, rows), own=_has_own(job))

    def everywhere(params: Params) -> jax.Array:
        found = predict(params, job.x)
        if not LOSSES[loss].level_free:
            return found
        weight = job.weight[:, None]
        mean = weighted_mean(jnp.moveaxis(found, 3, 0), weight)
        return found - jnp.moveaxis(mean, 0, 2)[:, :, None]

    return everywhere


def _by_member(function: Callable[..., Any], *, own: bool) -> Callable[..., Any]:
    """The function of (what a member has, rows) over tasks and members, that may share the rows."""
    return jax.vmap(jax.vmap(function, in_axes=(0, 0 if own else None)))


def _optimiser(config: TrainConfig) -> optax.GradientTransformation:
    """AdamW without its step size, which each member has of its own."""
    return optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.scale_by_adam(b2=0.99),
        optax.add_decayed_weights(
            config.weight_decay, mask=lambda tree: jax.tree.map(lambda a: a.ndim > 1, tree)
        ),
    )


def _validation(job: Job, loss: str) -> Callable[[jax.Array], jax.Array]:
    """Validation losses of predictions, (tasks, members, 3): both halves, the first, the second."""
    held, own = jnp.stack([job.held > 0, job.held == 1, job.held == 2], axis=2), _has_own(job)
    halves = held * (job.weight[:, :, None] if own else job.weight[:, None, None])
    over = jax.vmap(LOSSES[loss].each, in_axes=(None, None, 0))  # the parts of a split
    over = jax.vmap(jax.vmap(over, in_axes=(0, 0 if own else None, 0)))

    def losses(prediction: jax.Array) -> jax.Array:
        return weighted_mean(over(prediction + job.offset[:, None, None], job.y, halves), halves)

    return losses


def _round(
    job: Job, *, net: Network, config: TrainConfig, loss: str
) -> Callable[[Progress], tuple[Params, Any]]:
    """One round of minibatches, from a state to new parameters and moments."""
    optimiser, each = _optimiser(config), LOSSES[loss].each
    x, y, order, key = job.x, job.y, job.order, jax.random.wrap_key_data(job.key)
    inside = job.weight[:, None] * (job.held == 0)

    def objective(
        params: Params, rows: jax.Array, targets: jax.Array, w: jax.Array, added: Any, key: Any
    ) -> Any:
        return weighted_mean(each(apply(net, params, rows, key) + added, targets, w), w)

    def member(
        params: Params,
        moments: Any,
        rate: Any,
        sparser: Any,
        w: Any,
        number: Any,
        rows: Any,
        targets: Any,
        added: Any,
        at: Any,
    ) -> tuple[Params, Any]:
        key, strength = at
        key = jax.random.fold_in(key, number)
        gradient = jax.grad(objective)(params, rows, targets, w, added, key)
        updates, moments = optimiser.update(gradient, moments, params)
        moved = jax.tree.map(lambda p, u: p - rate * u, params, updates)
        if any(config.sparsity):
            moved = shrunk(net, moved, rate * strength * sparser)
        fixed = {name for name in params if name.startswith(config.frozen)}
        return {n: params[n] if n in fixed else moved[n] for n in params}, moments

    own = (0, 0, 0, 0, 0)
    over: Callable[..., Any] = jax.vmap(member, in_axes=(*own, 0, None, None, None, None))
    over = jax.vmap(over, in_axes=(*own, None, 0, 0, 0, None))
    numbers, sparser = jnp.arange(inside.shape[1]), job.factors[..., 1]
    low, high = config.sparsity

    def one_round(state: Progress) -> tuple[Params, Any]:
        strength = low + (high - low) * state.rounds / config.rounds
        first = state.rounds * config.steps

        def step(carry: Any, at: Any) -> Any:
            rows, number = at
            # One gather for all members: a gather of their own would be hoisted into gigabytes.
            now = jax.random.fold_in(key, first + number)
            batch = changed((x[:, rows], y[:, rows], inside[:, :, rows]), now, config)
            own = (state.rate, sparser, batch[2], numbers, batch[0], batch[1], job.offset)
            return over(*carry, *own, (now, strength)), None

        batches = (order[state.rounds], jnp.arange(config.steps))
        return jax.lax.scan(step, (state.params, state.moments), batches)[0]

    return one_round
