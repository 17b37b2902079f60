"""How memory is looked after while much work is done."""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def rare_collections() -> Generator[None]:
    """Let the garbage collector run rarely: a run makes many small objects that die young, in no cycles.

    Collecting after every few hundred of them, as Python does, takes about a tenth of a run's own time.
    """
    before = gc.get_threshold()
    gc.set_threshold(50_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)
