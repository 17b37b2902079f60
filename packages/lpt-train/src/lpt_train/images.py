"""Images as the model sees them: made smaller by a policy, then cut into patches by the processor."""

# transformers leaves its processors without types; what comes out of them is typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import hashlib
from collections import OrderedDict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lpt_core import DataError, ImageRef, PixelPolicy, resized_size
from lpt_core.image_files import decoded, header_size, read_bytes

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
    from torch import Tensor

Grid = tuple[int, int, int]
"""Patches of an image: in time (1), down, across."""


class Pictures:
    """Patches of images: how many from the header, and the pixels themselves on demand.

    Args:
        processor: A processor of Qwen2.5-VL or Qwen3-VL.
        policy: How images are made smaller before it.
        root: Where relative paths start; the working directory without it.
        max_bytes: The most bytes of pixels that are kept; the image unused for longest goes first.
    """

    def __init__(
        self,
        processor: Any,
        policy: PixelPolicy,
        root: Path | None = None,
        *,
        max_bytes: int = 2**30,
    ) -> None:
        # Without it transformers quietly takes another image processor, which makes other pixels.
        import_module("torchvision")
        self.policy = policy
        self._processor = processor.image_processor
        self._root = root or Path()
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[str, dict[str, Tensor]] = OrderedDict()
        self._grids: dict[str, Grid] = {}

    @property
    def merge(self) -> int:
        """How many patches a side make one image token."""
        return int(self._processor.merge_size)

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides how many patches an image makes."""
        size = self._processor.size
        return {
            "policy": self.policy.label,
            "pixels": [int(size["shortest_edge"]), int(size["longest_edge"])],
            "patch": int(self._processor.patch_size),
            "merge": self.merge,
        }

    def grid(self, image: ImageRef) -> Grid:
        """How many patches the image makes, from its file's header alone.

        Raises:
            DataError: The file is gone or no image, or the image is too thin for the model.
        """
        grid = self._grids.get(image.path)
        if grid is None:
            grid = self.grid_of(*header_size(self._root / image.path), where=image.path)
            self._grids[image.path] = grid
        return grid

    def grid_of(self, width: int, height: int, *, where: str = "") -> Grid:
        """How many patches an image of this size (pixels) makes.

        Raises:
            DataError: It is too thin for the model, more than 200 times as long as wide.
        """
        from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

        width, height = resized_size(width, height, self.policy)
        patch = int(self._processor.patch_size)
        size = self._processor.size
        try:
            tall, wide = smart_resize(
                height,
                width,
                factor=patch * self.merge,
                min_pixels=size["shortest_edge"],
                max_pixels=size["longest_edge"],
            )
        except ValueError as error:
            raise DataError(
                f"the image {where} of {width} x {height} pixels cannot be used: {error}.",
                "leave out images that are a line",
            ) from None
        return 1, tall // patch, wide // patch

    def tokens(self, image: ImageRef) -> int:
        """How many image tokens the image takes in a prompt.

        Raises:
            DataError: As ``grid``.
        """
        time, down, across = self.grid(image)
        return time * down * across // self.merge**2

    def tensors(self, image: ImageRef) -> dict[str, Tensor]:
        """What the model takes of an image.

        Returns:
            ``pixel_values``, float32 of shape (patches, channels * frames * patch²), and
            ``image_grid_thw``, int64 of shape (1, 3). They are kept: do not write into them.

        Raises:
            DataError: The file is gone, no image, not the one that the record means, or another size
                than its header says.
        """
        kept = self._kept.get(image.sha256)
        if kept is not None:
            self._kept.move_to_end(image.sha256)
            return kept
        made = self._processed(image)
        self._kept[image.sha256] = made
        self._bytes += _size(made)
        while self._bytes > self._max_bytes and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= _size(oldest)
        return made

    def picture(self, image: ImageRef) -> Picture:
        """An image as the processor gets it: decoded, and made smaller by the policy.

        Raises:
            DataError: The file is gone, no image, or not the one that the record means.
        """
        from PIL.Image import Resampling

        path = self._root / image.path
        data = read_bytes(path)
        if hashlib.sha256(data).hexdigest() != image.sha256:
            raise DataError(
                f"the image {path} is not the one that the record was made with.",
                "put the old file back, or export the sets again",
            )
        picture = decoded(data, path)
        size = resized_size(*picture.size, self.policy)
        return picture if size == picture.size else picture.resize(size, Resampling.LANCZOS)

    def _processed(self, image: ImageRef) -> dict[str, Tensor]:
        path = self._root / image.path
        picture = self.picture(image)
        made = self._processor(images=[picture], return_tensors="pt")
        grid: Tensor = made["image_grid_thw"]
        told, found = self.grid(image), tuple(grid[0].tolist())
        if found != told:
            raise DataError(
                f"the image {path} makes {found} patches, and by its header {told}.",
                "save it anew with any image program",
            )
        return {"pixel_values": made["pixel_values"], "image_grid_thw": grid}


def _size(tensors: dict[str, Tensor]) -> int:
    return sum(value.nbytes for value in tensors.values())
