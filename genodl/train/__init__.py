"""Training: ensembles of networks in one compiled program."""

from __future__ import annotations

from genodl.train.contribute import contributions
from genodl.train.ensemble import Ensemble, fit_ensemble, predict, predict_fn
from genodl.train.loss import LOSSES
from genodl.train.progress import TrainConfig
from genodl.train.resume import Resume
from genodl.train.reuse import described, pretrain, transfer
from genodl.train.stacking import gate

__all__ = [
    "LOSSES",
    "Ensemble",
    "Resume",
    "TrainConfig",
    "contributions",
    "described",
    "fit_ensemble",
    "gate",
    "predict",
    "predict_fn",
    "pretrain",
    "transfer",
]
