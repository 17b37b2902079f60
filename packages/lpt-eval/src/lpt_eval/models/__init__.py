"""Models that answer: lmms-eval's interface, with what its own backends leave out.

Sampling is passed on whole, images are made smaller before they leave, finish reasons and token counts are
kept, and every answer is written to a journal when it arrives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmms_eval.models.registry_v2 import ModelManifest  # pyright: ignore[reportMissingTypeStubs] # has none


def manifests() -> list[ModelManifest]:
    """The entry point ``lmms_eval.models``, by which lmms-eval knows them as well."""
    from lmms_eval.models.registry_v2 import ModelManifest  # pyright: ignore[reportMissingTypeStubs] # has none

    return [
        ModelManifest("lpt_transformers", chat_class_path="lpt_eval.models.local.LocalModel"),
        ModelManifest("lpt_vllm", chat_class_path="lpt_eval.models.vllm_local.VllmModel"),
        ModelManifest("lpt_server", chat_class_path="lpt_eval.models.server.ServerModel"),
    ]
