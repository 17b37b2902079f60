"""How a benchmark is asked and read: what makes two numbers comparable."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lpt_core import PixelPolicy, Record, Sampling, fingerprint

Form = Literal["think", "direct", "native"]
"""Asked to think first, to answer at once, or in the benchmark's own words."""

Reading = Literal["tagged", "tail", "phrase"]
"""Where an answer may stand: between answer tags alone; or else in all that follows the thought; or else
after the last "answer is" of what follows the thought."""


class Protocol(Record):
    """How a benchmark is asked and read. Two numbers are comparable where their protocols are the same.

    Attributes:
        name: What people call it ("paper", "released", or one's own).
        form: Which way the model is asked to answer.
        reading: Where its answer may stand.
        system: The system prompt, in Jinja; empty for none.
        template: The user's text, in Jinja.
        prefill: With what the answer was made to begin; empty for nothing.
        sampling: How answers are drawn.
        seed: Of the draws; None where they are greedy or the endpoint's own.
        n: Samples of each item.
        pixels: How images are made smaller before they are sent; None for not at all.
        label_set: Which edition of the benchmark's answers ("original").
    """

    name: str
    form: Form
    reading: Reading = "tagged"
    system: str
    template: str
    prefill: str = ""
    sampling: Sampling
    seed: int | None = None
    n: int = Field(default=1, ge=1)
    pixels: PixelPolicy | None = None
    label_set: str = "original"

    @property
    def fingerprint(self) -> str:
        """The protocol's identity: everything but its name."""
        return fingerprint("protocol", self.model_dump(mode="json", exclude={"name"}))
