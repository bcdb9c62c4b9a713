"""Cohorts with planted markers, linkage disequilibrium, ancestry and confounding, from a seed."""

from genodl.simulate.assemble import Simulated, cohort
from genodl.simulate.effects import EFFECTS, REGIMES, Effect
from genodl.simulate.files import write

__all__ = ["EFFECTS", "REGIMES", "Effect", "Simulated", "cohort", "write"]
