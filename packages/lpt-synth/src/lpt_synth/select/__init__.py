"""From verified thoughts to training sets: which ones, how many of each kind, and what carries loss."""

from lpt_synth.select.quota import Cut, Pool
from lpt_synth.select.selection import Selection, SelectionCounts, select

__all__ = ["Cut", "Pool", "Selection", "SelectionCounts", "select"]
