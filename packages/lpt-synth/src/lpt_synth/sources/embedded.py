"""Images that a source holds inside: written out once, named by their content."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from lpt_core import StoreError
from lpt_core.image_files import FORMATS, sniff_extension
from lpt_synth.image_files import printable
from lpt_synth.sources.rows import bad_row


class ImageFolder:
    """A folder of images, each at ``<sha256 of its bytes>.<ending by its format>``.

    Several processes may write to one folder at a time: a file appears whole or not at all.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, data: bytes, where: str, *, wanted: bool = True) -> Path:
        """Where an image lies, which is written unless it lies there already.

        Args:
            data: The bytes of the image's file.
            where: The row that holds it.
            wanted: Write it; otherwise it is only told where it would lie.

        Raises:
            BadRowError: The bytes are of no format that is read (``image_unreadable``).
            StoreError: The folder cannot be written to.
        """
        extension = sniff_extension(data)
        if extension is None:
            raise bad_row("image_unreadable", f"the bytes in it are not an image ({FORMATS})", where)
        path = self._folder / f"{hashlib.sha256(data).hexdigest()}.{extension}"
        try:
            # A machine that lost power may have left a shorter file.
            if wanted and (not path.is_file() or path.stat().st_size != len(data)):
                self._write(path, data)
        except OSError as error:
            raise StoreError(
                f"Image {printable(path)} cannot be written: {error.strerror or error}.",
                "Make room, or let the run write to its folder.",
            ) from error
        return path

    def _write(self, path: Path, data: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=self._folder)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
