"""From a run's sets to directories that trainers read: TRL, LLaMA-Factory, LPT's own records, prompts."""

from lpt_synth.export.card import CardFacts, ModelFacts, PromptFacts, card_facts
from lpt_synth.export.export import FORMATS, ExportReport, FormatName, export

__all__ = [
    "FORMATS",
    "CardFacts",
    "ExportReport",
    "FormatName",
    "ModelFacts",
    "PromptFacts",
    "card_facts",
    "export",
]
