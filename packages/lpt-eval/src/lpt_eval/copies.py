"""Small copies of a run's pictures, so that its folder alone can be looked at."""

from __future__ import annotations

from collections.abc import Callable

from lpt_core import DataError, PixelPolicy, StoreError
from lpt_eval.benchmarks.data import Benchmark
from lpt_eval.folder import RunFolder
from lpt_eval.images import Shown

LONGEST = 320
"""Pixels of a copy's longer side; smaller pictures keep their size."""

_QUALITY = 82


def write_copies(benchmark: Benchmark, folder: RunFolder, note: Callable[[str], object]) -> int:
    """Write a small copy of each of a benchmark's pictures that the folder has not got yet.

    Copies are for people: nothing is measured on them, and a picture that cannot be copied stops nothing.

    Args:
        benchmark: Whose pictures.
        folder: Of the run.
        note: Is told of a picture that could not be copied.

    Returns:
        How many were written.

    Raises:
        StoreError: The folder cannot be written to.
    """
    written = 0
    for item in benchmark.items:
        source = benchmark.image(item)
        if item.image is None or source is None:
            continue
        copy = folder.picture(item.image.sha256)
        if copy.exists():
            continue
        try:
            picture = Shown.file(source).under(PixelPolicy(rule="longer_side", limit=LONGEST))
        except DataError as error:
            note(f"warning: the report will lack a picture: {error.message}")
            continue
        temporary = copy.with_name(f".{copy.name}.tmp")
        try:
            copy.parent.mkdir(parents=True, exist_ok=True)
            picture.save(temporary, "WEBP", quality=_QUALITY)
            temporary.replace(copy)
        except OSError as error:
            raise StoreError(f"{copy} cannot be written: {error.strerror or error}.") from error
        written += 1
    return written
