"""Records, prompts, answer reading and verification: what LPT's packages have in common.

This module's names are the public interface; adding one is a decision.
"""

from lpt_core.answers import READER_VERSION, ParsedAnswer, SplitText, parse_answer, split_thought
from lpt_core.behaviours import (
    BEHAVIOURS,
    BEHAVIOURS_VERSION,
    Behaviour,
    Sign,
    count_behaviours,
    find_behaviours,
)
from lpt_core.chat import ImagePart, ImageRef, Message, Part, Sampling, TextPart
from lpt_core.checkpoint import CHECKPOINT_FILE, CheckpointRecord, WeightDigests
from lpt_core.choices import Choice, read_choice
from lpt_core.errors import (
    ConfigError,
    DataError,
    EndpointError,
    LptError,
    MissingExtraError,
    StoreError,
)
from lpt_core.fingerprint import FINGERPRINT_VERSION, canonical_json, derived_int, fingerprint, uniform
from lpt_core.options import ParsedOptions, check_options, parse_options
from lpt_core.pixels import PixelPolicy, resized_size
from lpt_core.problems import Problem
from lpt_core.prompts import Prompt, load_prompt, load_prompt_file, parse_prompt, prompt_names
from lpt_core.schema import (
    LETTERS,
    MAX_OPTIONS,
    MCQ,
    SCHEMA_VERSION,
    AnswerStatus,
    AnswerStyle,
    Caption,
    OptionStyle,
    Presentation,
    Provenance,
    Record,
    Segment,
    Trace,
    Verdict,
    normal_text,
)
from lpt_core.schemas import json_schemas
from lpt_core.training import PairKind, PreferencePair, PromptExample, ResponseSegment, SFTExample, SFTKind
from lpt_core.verify import verify

__version__ = "0.1.0"

__all__ = [
    "BEHAVIOURS",
    "BEHAVIOURS_VERSION",
    "CHECKPOINT_FILE",
    "FINGERPRINT_VERSION",
    "LETTERS",
    "MAX_OPTIONS",
    "MCQ",
    "READER_VERSION",
    "SCHEMA_VERSION",
    "AnswerStatus",
    "AnswerStyle",
    "Behaviour",
    "Caption",
    "CheckpointRecord",
    "Choice",
    "ConfigError",
    "DataError",
    "EndpointError",
    "ImagePart",
    "ImageRef",
    "LptError",
    "Message",
    "MissingExtraError",
    "OptionStyle",
    "PairKind",
    "ParsedAnswer",
    "ParsedOptions",
    "Part",
    "PixelPolicy",
    "PreferencePair",
    "Presentation",
    "Problem",
    "Prompt",
    "PromptExample",
    "Provenance",
    "Record",
    "ResponseSegment",
    "SFTExample",
    "SFTKind",
    "Sampling",
    "Segment",
    "Sign",
    "SplitText",
    "StoreError",
    "TextPart",
    "Trace",
    "Verdict",
    "WeightDigests",
    "__version__",
    "canonical_json",
    "check_options",
    "count_behaviours",
    "derived_int",
    "find_behaviours",
    "fingerprint",
    "json_schemas",
    "load_prompt",
    "load_prompt_file",
    "normal_text",
    "parse_answer",
    "parse_options",
    "parse_prompt",
    "prompt_names",
    "read_choice",
    "resized_size",
    "split_thought",
    "uniform",
    "verify",
]
