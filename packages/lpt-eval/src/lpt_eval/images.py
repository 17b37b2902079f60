"""Images as a model gets them: decoded, and made smaller by the policy of the protocol."""

from __future__ import annotations

import base64
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lpt_core import ImageRef, PixelPolicy, resized_size
from lpt_core.image_files import decoded, header_size, read_bytes

if TYPE_CHECKING:
    from PIL.Image import Image as Picture


@dataclass(frozen=True, slots=True)
class Shown:
    """An image to be shown, by the bytes of its file.

    Attributes:
        data: The file.
        name: What to call it in messages.
    """

    data: bytes
    name: str

    @classmethod
    def file(cls, path: Path) -> Shown:
        """The image in a file.

        Raises:
            DataError: It cannot be read.
        """
        return cls(read_bytes(path), str(path))

    @classmethod
    def picture(cls, picture: Picture) -> Shown:
        """An image that is in memory already, kept without loss."""
        buffer = io.BytesIO()
        picture.convert("RGB").save(buffer, "PNG")
        return cls(buffer.getvalue(), "an image in memory")

    @property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return hashlib.sha256(self.data).hexdigest()

    def under(self, policy: PixelPolicy | None) -> Picture:
        """The pixels that a model gets.

        Raises:
            DataError: It is no image that can be decoded whole.
        """
        from PIL.Image import Resampling

        picture = decoded(self.data, Path(self.name))
        size = picture.size if policy is None else resized_size(*picture.size, policy)
        return picture if size == picture.size else picture.resize(size, Resampling.LANCZOS)


def data_url(picture: Picture) -> str:
    """A picture as it travels to a server: PNG, so that it arrives pixel for pixel."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def image_ref(path: Path) -> ImageRef:
    """The record of an image file.

    Raises:
        DataError: It is no image, or cannot be read.
    """
    data = read_bytes(path)
    width, height = header_size(path)
    return ImageRef(path=str(path), sha256=hashlib.sha256(data).hexdigest(), width=width, height=height)
