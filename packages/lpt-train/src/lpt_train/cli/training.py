"""What the commands that train share."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console

from lpt_core import StoreError
from lpt_train.config import TrainConfig
from lpt_train.encoding import Encoder
from lpt_train.preview import PreviewRow, html_page, row_text


class Note(Protocol):
    """Tells a line; ``always`` even when it shall be quiet."""

    def __call__(self, line: str, *, always: bool = False) -> None:
        """Tell it."""
        ...


def noting(*, quiet: bool) -> Note:
    """Lines on standard output, of the first process alone; transformers' own talk is turned off."""
    _hush()
    first = os.environ.get("RANK", "0") == "0"

    def note(line: str, *, always: bool = False) -> None:
        if first and (always or not quiet):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

    return note


def encoder_of(config: TrainConfig) -> Encoder:
    """How a training of this configuration would encode rows."""
    from lpt_train.model import load_processor

    _hush()
    processor = load_processor(config.model.name, config.model.revision)
    return Encoder(processor, pixels=config.data.pixels, prefix_loss=config.data.prefix_loss)


def show_preview(rows: Sequence[PreviewRow], title: str, html: Path | None) -> None:
    """Rows on the terminal, in colour where it has colours, or as a page.

    Raises:
        StoreError: The page cannot be written.
    """
    if html is not None:
        try:
            html.write_text(html_page(rows, title), encoding="utf-8")
        except OSError as error:
            raise StoreError(f"{html} cannot be written: {error.strerror or error}.") from error
        sys.stdout.write(f"wrote {html}\n")
        return
    console = Console(soft_wrap=True, highlight=False)
    colour = console.color_system is not None and not console.no_color
    for row in rows:
        console.print(row_text(row, colour=colour))


def _hush() -> None:
    from transformers.utils import logging

    told: Any = logging
    told.set_verbosity_error()
    told.disable_progress_bar()
