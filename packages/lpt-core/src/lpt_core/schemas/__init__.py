"""The published JSON Schema of every record, a file each beside this one: ``Trace.v1.json`` and so on.

``python -m lpt_core.schemas`` writes them anew after a change; with a directory, it writes a copy there.
"""

from __future__ import annotations

import json
from typing import Any

from lpt_core.checkpoint import CheckpointRecord
from lpt_core.schema import MCQ, SCHEMA_VERSION, Caption, Presentation, Trace
from lpt_core.training import PreferencePair, PromptExample, SFTExample

_RECORDS = (Caption, MCQ, Presentation, Trace, SFTExample, PreferencePair, PromptExample, CheckpointRecord)


def json_schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schema (draft 2020-12) of every record, by its name; published in ``lpt_core/schemas``."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return {record.__name__: dialect | record.model_json_schema() for record in _RECORDS}


def schema_files() -> dict[str, str]:
    """The text of each published file, by its name."""
    return {
        f"{name}.v{SCHEMA_VERSION}.json": json.dumps(schema, indent=2, sort_keys=True) + "\n"
        for name, schema in json_schemas().items()
    }
