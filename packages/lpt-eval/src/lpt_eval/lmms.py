"""lmms-eval, imported: the one place that knows what importing it does, and that keeps it quiet.

Every other module gets its modules from here.
"""

# lmms-eval has no types; nothing of it leaves this module.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from datasets import disable_progress_bars, enable_progress_bars, is_progress_bar_enabled
from loguru import logger
from PIL import ImageFile

_strict = ImageFile.LOAD_TRUNCATED_IMAGES
logger.disable("lmms_eval")

from lmms_eval import evaluator  # noqa: E402 # not before what stands above
from lmms_eval.api import instance, model, task  # noqa: E402 # as above

logger.enable("lmms_eval")
# It lets Pillow fill truncated images with grey, and no model should be asked about these.
ImageFile.LOAD_TRUNCATED_IMAGES = _strict


__all__ = ["evaluator", "instance", "model", "quiet", "task"]


@contextmanager
def quiet() -> Generator[None]:
    """Without its log and progress bars, and those of datasets."""
    bars = is_progress_bar_enabled()
    modules: tuple[Any, ...] = (evaluator, task)
    kept = [module.tqdm for module in modules]
    logger.disable("lmms_eval")
    disable_progress_bars()
    for module in modules:
        module.tqdm = _silent(module.tqdm)
    try:
        yield
    finally:
        for module, tqdm in zip(modules, kept, strict=True):
            module.tqdm = tqdm
        logger.enable("lmms_eval")
        if bars:
            enable_progress_bars()


def _silent(bar: Callable[..., Any]) -> Callable[..., Any]:
    """The same progress bar, never drawn."""
    return lambda *values, **options: bar(*values, **{**options, "disable": True})
