"""Images as a model sees them: upright, on white, resized, as data URLs.

What a file holds is ``lpt_synth.image_files``' part; its ``inspect_image`` is to be had here as well.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import os
from collections import OrderedDict
from pathlib import Path

from lpt_core import DataError, ImageRef, resized_size
from lpt_core.image_files import as_shown, open_image
from lpt_synth.config import PixelPolicy
from lpt_synth.image_files import (
    RefusedError,
    inspect_image,
    printable,
    read_image_file,
)

__all__ = ["ImageCache", "encode_image", "inspect_image", "resized_size"]


def encode_image(path: Path, policy: PixelPolicy) -> bytes:
    """An image file as a model gets it: upright, on white, RGB, resized (Lanczos), JPEG or PNG.

    JPEG is written without chroma subsampling, and no metadata goes along. Of an animation the first
    frame is taken. Meant for files that ``inspect_image`` has passed.

    Raises:
        DataError: The file is not there or is no image.
    """
    return _encode(_read_again(path), path, policy)


def _read_again(path: Path) -> bytes:
    try:
        return read_image_file(path)
    except RefusedError as refused:
        message = f"Image {printable(path)} {refused.message}."
        raise DataError(message, "Put it back, or start the run again.") from None


def _encode(data: bytes, path: Path, policy: PixelPolicy) -> bytes:
    from PIL import Image

    try:
        opened = open_image(io.BytesIO(data))
        opened.load()
        image = as_shown(opened)
        size = resized_size(*image.size, policy)
        if size != image.size:
            image = image.resize(size, Image.Resampling.LANCZOS)
        # PNG would carry over colour profiles, which belong to the pixels before conversion.
        image.info = {}
        out = io.BytesIO()
        if policy.format == "jpeg":
            image.save(out, "JPEG", quality=policy.quality, subsampling=0)
        else:
            image.save(out, "PNG")
        return out.getvalue()
    except Exception as error:  # as many kinds as decoding raises
        message = f"Image {printable(path)} cannot be encoded ({type(error).__name__}: {error})."
        raise DataError(printable(message), "Repair or remove it.") from error


class ImageCache:
    """Turns images into data URLs, in threads; keeps the latest, and encodes none twice at once.

    Args:
        policy: How images are made smaller.
        max_bytes: The most bytes of data URLs that are kept; the one unused for longest goes first.
    """

    def __init__(self, policy: PixelPolicy, *, max_bytes: int = 256 * 2**20) -> None:
        self._policy = policy
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[str, str] = OrderedDict()
        self._running: dict[str, asyncio.Task[str]] = {}
        # A decoded image is large: no more at once than there are cores to work on them.
        self._slots = asyncio.Semaphore(os.cpu_count() or 1)

    async def data_url(self, image: ImageRef) -> str:
        """``data:image/jpeg;base64,...`` of an image under the policy.

        Raises:
            DataError: The file is gone, or its bytes are not those that were inspected.
        """
        key = image.sha256
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        task = self._running.get(key)
        if task is None:
            task = asyncio.create_task(self._encode(image))
            self._running[key] = task
            task.add_done_callback(lambda done: self._finished(key, done))
        # One of several waiters may be cancelled without taking the image from the others.
        return await asyncio.shield(task)

    async def _encode(self, image: ImageRef) -> str:
        async with self._slots:
            return await asyncio.to_thread(_data_url, image, self._policy)

    def _finished(self, key: str, task: asyncio.Task[str]) -> None:
        self._running.pop(key, None)
        if task.cancelled() or task.exception() is not None:
            return
        url = task.result()
        self._kept[key] = url
        self._bytes += len(url)
        while self._bytes > self._max_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= len(oldest)


def _data_url(image: ImageRef, policy: PixelPolicy) -> str:
    path = Path(image.path)
    data = _read_again(path)
    if hashlib.sha256(data).hexdigest() != image.sha256:
        raise DataError(
            f"Image {printable(path)} has changed since this run read it.",
            "Put the old file back, or start the run again, which takes the new one as another image.",
        )
    encoded = base64.b64encode(_encode(data, path, policy)).decode("ascii")
    return f"data:image/{policy.format};base64,{encoded}"
