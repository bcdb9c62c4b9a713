"""What a discovery has learnt as a function: predict new samples, save, restore, export."""

from genodl.cohort.match import Matched, match
from genodl.score.export import export
from genodl.score.keep import restore, save
from genodl.score.predict import Predicted, predict
from genodl.score.scorer import Output, Scorer, score

__all__ = [
    "Matched",
    "Output",
    "Predicted",
    "Scorer",
    "export",
    "match",
    "predict",
    "restore",
    "save",
    "score",
]
