"""The stages: what is asked of a model about an item, and how its answer reads. All of it is pure.

A stage builds a request from an item and reads a completion of it; it knows no engine, no store, no clock
and no random state. Reading never raises on what a model wrote.
"""

from lpt_synth.stages.ask import AskReading, AskStage
from lpt_synth.stages.expand import ExpandStage
from lpt_synth.stages.judge import JudgeStage
from lpt_synth.stages.think import ThinkStage

__all__ = ["AskReading", "AskStage", "ExpandStage", "JudgeStage", "ThinkStage"]
