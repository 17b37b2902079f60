"""``lpt-eval report``: runs as one HTML file to be looked at, from their folders alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lpt_core import StoreError
from lpt_eval.report.gallery import EXAMPLES, gallery
from lpt_eval.report.material import gather
from lpt_eval.report.page import page
from lpt_eval.summary import DRAWS

__all__ = ["write_report"]


def write_report(
    paths: Sequence[Path],
    out: Path,
    *,
    allow_unlike: bool = False,
    examples: int = EXAMPLES,
    draws: int = DRAWS,
    seed: int = 0,
) -> int:
    """Write a report of one run, or of several compared with the first. The same runs give the same bytes.

    Args:
        paths: The runs' folders.
        out: The file.
        allow_unlike: Show side by side what was asked otherwise; the page says what differs.
        examples: Questions shown of each benchmark; 0 for all.
        draws: Resamples for the intervals.
        seed: Of these.

    Returns:
        How many bytes were written.

    Raises:
        ConfigError: The runs are not alike, or there are too many.
        LptError: A run cannot be read, or the file not be written.
    """
    material = gather(paths, allow_unlike=allow_unlike, draws=draws, seed=seed)
    data = page(material, gallery(material, examples)).encode()
    temporary = out.with_name(f".{out.name}.tmp")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        temporary.replace(out)
    except OSError as error:
        raise StoreError(f"{out} cannot be written: {error.strerror or error}.") from error
    return len(data)
