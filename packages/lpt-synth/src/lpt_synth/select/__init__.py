"""From verified thoughts to training sets: which ones, how many of each kind, and what carries loss."""

from lpt_synth.select.quota import Cut, Pool
from lpt_synth.select.selection import Decision, Selection, SelectionCounts, Survey, select, survey

__all__ = ["Cut", "Decision", "Pool", "Selection", "SelectionCounts", "Survey", "select", "survey"]
