"""How images are made smaller before a model sees them, which has to be the same wherever one does.

Only arithmetic: synthesis, training and evaluation each resize pixels by their own means. Leaving the size to
a processor's own bounds gives other grids (1024 x 768 at 512²: 315 tokens of Qwen2.5-VL instead of 336).
"""

from __future__ import annotations

from math import isqrt
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

PixelRule = Literal["area", "longer_side"]


class PixelPolicy(BaseModel):
    """How an image is made smaller before a model sees it; never larger."""

    # Not strict, as it is a section of configurations too.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    rule: PixelRule = Field(default="area", description="cap the area, or the longer side")
    limit: int = Field(
        default=512, ge=28, description="side in pixels: area <= limit^2, or longer side <= limit"
    )

    @property
    def label(self) -> str:
        """The policy in a word ("area-512"), part of the identity of what was made under it."""
        return f"{self.rule}-{self.limit}"


def resized_size(width: int, height: int, policy: PixelPolicy) -> tuple[int, int]:
    """The size in pixels that an image has under a policy.

    Never larger than it was, never less than one pixel a side; both sides are rounded down, so that the
    area rule holds exactly: ``w * h <= limit ** 2``.
    """
    limit = policy.limit
    if policy.rule == "longer_side":
        longer = max(width, height)
        if longer <= limit:
            return width, height
        return max(1, width * limit // longer), max(1, height * limit // longer)
    area = limit * limit
    if width * height <= area:
        return width, height
    # floor(sqrt(area * w / h)) in whole numbers; a side that would vanish leaves the area to the other.
    small_width, small_height = isqrt(area * width // height), isqrt(area * height // width)
    if small_width and small_height:
        return small_width, small_height
    return (area, 1) if small_width else (1, area)
