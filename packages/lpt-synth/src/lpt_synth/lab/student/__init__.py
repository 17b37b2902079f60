"""The lab's student: a small vision-language model that looks, how it is built, taught and measured."""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib import resources
from pathlib import Path

STUDENT = "lab-student-v1"
"""The student that ships with lpt-synth."""


def shipped_student() -> AbstractContextManager[Path]:
    """The folder of the student that ships with lpt-synth, for as long as the block runs.

    As ``save_pretrained`` writes one, with ``training.json`` beside the weights.
    """
    return resources.as_file(resources.files(__name__) / "weights" / STUDENT)
