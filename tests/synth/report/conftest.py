from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def unpack() -> Callable[[str, str], Any]:
    """Reads a block of data out of a report: ``unpack(html, "index")``."""

    def read(html: str, name: str) -> Any:
        found = re.search(rf'<script type="application/octet-stream" id="{name}">([^<]*)</script>', html)
        assert found is not None
        return json.loads(gzip.decompress(base64.b64decode(found.group(1))))

    return read
