"""Tasks trained in chunks of one shape, within a memory budget, spread over all devices.

Under `jax.distributed` the devices are those of all processes: each process is given all tasks,
trains those of its own devices and has the result of all.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from genodl.errors import InputError
from genodl.models.network import Network, activity_size, initial_params
from genodl.train.draw import minibatches
from genodl.train.fit import Fit, Job, advance, begin, finished
from genodl.train.loss import LOSSES
from genodl.train.progress import Progress, TrainConfig
from genodl.train.resume import STOPPED, Resume, fingerprint, gathered, stoppable

SPLIT, ORDER, INIT = range(3)  # streams of random numbers that one seed gives
WORTH_A_COPY = 0.5  # share of the rows that are copied to be predicted apart
OF_MEMORY = 0.25  # what the copies of a task's members, each of rows of its own, may take of it
LOOK = 5  # rounds after which it is seen which tasks still learn
NARROWER = (2, 8)  # a chunk goes on as this part of it once no more tasks learn
WORTH_A_PROGRAM = 1 << 23  # values of a chunk's rows; of fewer a smaller program does not pay
SHARED = ("order", "key")  # what a job holds of all tasks


class Task(NamedTuple):
    """What every task is trained on, before it is standardised; see `genodl.train.fit.Job`."""

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    held: np.ndarray
    scales: dict[str, np.ndarray]


def in_chunks(
    tasks: Task,
    *,
    net: Network,
    loss: str,
    seed: int,
    config: TrainConfig,
    resume: Resume | None = None,
    start: dict[str, np.ndarray] | None = None,
) -> dict[str, Any]:
    """Fits of all tasks, trained in chunks of one shape that keep to the memory budget.

    Parameters that `start` names, (members, ...), begin there in every task.
    """
    count, samples, _ = tasks.x.shape
    given = tasks.held.shape[1]
    # a member is trained under every pair of factors, from the same beginning
    factors = np.repeat(np.array(config.tried, np.float32), given, axis=0)
    members = len(factors)
    tasks = tasks._replace(held=np.tile(tasks.held, (1, len(config.tried), 1)))
    spare = OF_MEMORY * config.memory / (4 * tasks.x.shape[2])
    stop_by = None if LOSSES[loss].level_free else _stop_by(tasks.held, int(spare))
    copied = 0 if stop_by is None else int(np.prod(stop_by.shape[1:]))
    size = _chunk(
        tasks.x.shape, copied=copied, members=members, activity=activity_size(net), config=config
    )
    order = minibatches(
        samples,
        rounds=config.rounds,
        steps=config.steps,
        batch=config.batch,
        seed=(seed, ORDER),
    )
    key = jax.random.key_data(jax.random.key(seed))
    found = []
    for first in range(0, count, size):
        at = np.minimum(np.arange(first, first + size), count - 1)
        # Tasks that only fill the last chunk carry no weight and stop at once.
        used = tasks.weight[at] * (np.arange(first, first + size) < count)[:, None]
        rows, target, offset = _scaled(tasks, at, used, standardised=LOSSES[loss].standardised)
        state = [np.random.SeedSequence((seed, INIT, t)).generate_state(given * 4) for t in at]
        fresh = initial_params(np.stack(state).reshape(size, given, 4), net=net)
        fresh = _begun(fresh, start or {})
        if len(config.tried) > 1:
            fresh = jax.tree.map(lambda a: jnp.concatenate([a] * len(config.tried), axis=1), fresh)
        each = np.broadcast_to(factors, (size, *factors.shape))
        placed = _placed((rows, target, used, tasks.held[at], offset, fresh, each), "tasks")
        stopping = None if stop_by is None else _placed(stop_by[at], "tasks")
        real = min(size, count - first)
        fit = _trained(
            Job(*(*placed, *_placed((order, key)), stopping)),
            slice(first, first + real),
            net=net,
            loss=loss,
            config=config,
            resume=resume,
        )
        whole = _chosen(gathered(fit._asdict()), tasks.held[at, :given], len(config.tried))
        found.append(jax.tree.map(lambda leaf: leaf[:real], whole))  # noqa: B023
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *found)


def _stop_by(held: np.ndarray, spare: int) -> np.ndarray | None:
    """The rows that some member of each task holds out, then the number of samples.

    int32, (tasks, rows). Where they are so many that a copy of them saves too little, those of each
    member, (tasks, members, rows), if together they are at most `spare`, else None.
    """
    samples = held.shape[2]
    some: np.ndarray = np.any(held > 0, axis=1)
    if some.sum(axis=1).max() > samples * WORTH_A_COPY:
        some = held > 0
        most = int(some.sum(axis=2).max())
        if most > samples * WORTH_A_COPY or most * held.shape[1] > spare:
            return None
    most = max(int(some.sum(axis=-1).max()), 1)
    # rows that are held out come first, each in its order
    order = np.argsort(~some, axis=-1, kind="stable")[..., :most]
    return np.where(np.take_along_axis(some, order, axis=-1), order, samples).astype(np.int32)


def _chosen(fits: dict[str, Any], held: np.ndarray, tried: int) -> dict[str, Any]:
    """Each member under the factors of its least validation loss, axes (tasks, members, ...).

    What a half of its validation rows is predicted comes from the factors that the other half
    chooses, as `Fit.out_of_bag` has it of the stopping round.
    """
    if tried == 1:
        return fits

    def picked(leaf: np.ndarray, at: np.ndarray) -> np.ndarray:
        apart = leaf.reshape(len(leaf), tried, -1, *leaf.shape[2:])
        at = at.reshape(len(at), 1, -1, *(1,) * (leaf.ndim - 2))
        return np.take_along_axis(apart, at, axis=1)[:, 0]

    def least(loss: np.ndarray) -> np.ndarray:
        lost = np.where(fits["dropped"], np.inf, loss)
        return lost.reshape(len(lost), tried, -1).argmin(1)

    best = least(fits["loss"])
    whole = {name: jax.tree.map(lambda leaf: picked(leaf, best), v) for name, v in fits.items()}
    by_first, by_second = (
        picked(fits["out_of_bag"], least(fits["halves"][..., half])) for half in (0, 1)
    )
    whole["out_of_bag"] = np.where((held == 2)[..., None], by_first, by_second)
    return whole


def _begun(fresh: dict[str, Any], start: dict[str, np.ndarray]) -> dict[str, Any]:
    """Initial parameters, (tasks, members, ...), with those that are given."""
    for name, given in start.items():
        expected = fresh[name].shape[1:] if name in fresh else None
        if given.shape != expected:
            raise InputError(
                f"{name} is {given.shape}, the model has "
                + (f"{expected}" if expected else f"none but {', '.join(fresh)}"),
                where="fit_ensemble, start",
                mend="give the parameters of this model, (members, ...)",
            )
    tasks = len(next(iter(fresh.values())))
    return fresh | {name: np.broadcast_to(a, (tasks, *a.shape)) for name, a in start.items()}


def _scaled(
    tasks: Task, at: np.ndarray, used: np.ndarray, *, standardised: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows and targets of some tasks, and what is added to a network's outputs.

    Targets are centred and scaled where `standardised`; else the outputs are shifted instead.
    """
    scales = {name: value[at] for name, value in tasks.scales.items()}
    rows = tasks.x[at]  # a copy, changed in place: the rows are the largest of all arrays
    rows -= scales["x_centre"][:, None]
    rows /= scales["x_scale"][:, None]
    target, offset = tasks.y[at], scales["y_centre"]
    if standardised:
        target = (target - offset[:, None]) / scales["y_scale"][:, None]
        offset = np.zeros_like(offset)
    return rows, np.where((used > 0)[..., None], target, np.float32(0)), offset


def _trained(
    job: Job,
    mine: slice,
    *,
    net: Network,
    loss: str,
    config: TrainConfig,
    resume: Resume | None,
) -> Fit:
    """One chunk trained to its end, in stretches between which its state is kept where asked."""
    what: dict[str, Any] = {"net": net, "config": config, "loss": loss}
    state = begin(job, **what)
    if resume is None:
        # before the first look nobody stops; many devices keep their tasks to the end
        first = config.warmup + config.patience if jax.device_count() == 1 else config.rounds
        for until in (*range(first, config.rounds, LOOK), config.rounds):
            state = _onward(job, state, until, **what)
        return finished(job, state)
    name, real = f"tasks-{mine.start}-{mine.stop}", mine.stop - mine.start
    told = jax.tree.map(lambda leaf: leaf[:real], gathered((*job[:6], job.stop_by)))
    key = fingerprint(told, net=net, config=config, loss=loss)
    state = resume.load(name, key, state)
    with stoppable() as asked:
        while bool(state.active.any()) and int(state.rounds) < config.rounds:
            until = min(int(state.rounds) + resume.every, config.rounds)
            state = _onward(job, state, until, **what)
            resume.save(name, key, state, tasks=real)
            if asked.is_set():
                raise SystemExit(STOPPED)
    return finished(job, state)


def _onward(job: Job, state: Progress, until: int, **what: Any) -> Progress:
    """All tasks advanced to a round; where few still learn, as a smaller program of those."""
    tasks = len(job.x)
    if jax.device_count() > 1 or job.x.size < WORTH_A_PROGRAM:
        return advance(job, state, until, **what)
    learning = np.flatnonzero(np.asarray(state.active).any(axis=1))
    sizes = [-(-tasks // part) for part in NARROWER]
    size = min((s for s in sizes if s >= len(learning)), default=tasks)
    if size == tasks or not len(learning):
        return advance(job, state, until, **what)
    at = np.resize(learning, size)  # a task that is there twice fills the program up
    own = {name: part for name, part in job._asdict().items() if name not in SHARED}
    few, ahead = _taken((own, state), at)
    return _put(state, advance(job._replace(**few), ahead, until, **what), at)


@jax.jit
def _taken(tree: Any, at: jax.Array) -> Any:
    """Some tasks of arrays whose leading axis is one of tasks."""
    return jax.tree.map(lambda leaf: leaf[at] if leaf.ndim else leaf, tree)


@jax.jit
def _put(whole: Any, some: Any, at: jax.Array) -> Any:
    """The arrays with some tasks put in their places."""
    return jax.tree.map(lambda a, b: a.at[at].set(b) if a.ndim else b, whole, some)


def _chunk(
    shape: tuple[int, ...], *, copied: int, members: int, activity: int, config: TrainConfig
) -> int:
    """Tasks trained at once: within the budget, even chunks, a multiple of the devices."""
    tasks, samples, inputs = shape
    # Rows, their minibatch copy and those that members stop by, then what a row and member keeps
    # for the gradient.
    each = 4 * (samples * (3 * inputs + activity * members) + copied * inputs)
    devices = jax.device_count()
    most = max(1, config.memory // each // devices) * devices
    chunks = -(-tasks // most)
    return -(-tasks // (chunks * devices)) * devices


def _placed(arrays: Any, axis: str | None = None) -> Any:
    """The arrays on all devices, the leading axis spread over them where it is one of tasks."""
    devices = np.array(jax.devices())
    if len(devices) == 1:  # several programs read them; on the host none needs a copy
        return arrays if devices[0].platform == "cpu" else jax.device_put(arrays, devices[0])
    spread = NamedSharding(Mesh(devices, ("tasks",)), PartitionSpec(axis))

    def place(leaf: Any) -> jax.Array:
        whole = np.asarray(leaf)
        return jax.make_array_from_callback(whole.shape, spread, lambda index: whole[index])

    return jax.tree.map(place, arrays)
