"""The published JSON Schema of every record, a file each beside this one: ``Trace.v1.json`` and so on.

``python -m lpt_core.schemas`` writes them anew after a change; with a directory, it writes a copy there.
"""

from __future__ import annotations

import json

from lpt_core.schema import SCHEMA_VERSION, json_schemas


def schema_files() -> dict[str, str]:
    """The text of each published file, by its name."""
    return {
        f"{name}.v{SCHEMA_VERSION}.json": json.dumps(schema, indent=2, sort_keys=True) + "\n"
        for name, schema in json_schemas().items()
    }
