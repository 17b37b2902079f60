"""Models in the process itself, run by vLLM, as lmms-eval's model ``lpt_vllm``."""

# lmms-eval has no types; what goes in and out of it is typed here.
# pyright: reportMissingTypeStubs=false, reportUntypedBaseClass=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from lpt_core import ConfigError
from lpt_eval.journal import Journal
from lpt_eval.model_folder import as_folder, checked, identity_of
from lpt_eval.models.options import need_vllm
from lpt_eval.models.recording import Kept, Keyed, RecordingModel
from lpt_eval.records import ModelIdentity

if TYPE_CHECKING:
    from lpt_eval.models.vllm_engine import Engine


class VllmModel(RecordingModel):
    """A model that vLLM runs in this process, on the device that vLLM finds.

    Args:
        pretrained: A folder that save_pretrained wrote, or a hub id.
        revision: Of a hub id.
        device: None or "auto": vLLM chooses.
        dtype: "float32", "bfloat16", "float16"; "auto" for vLLM's choice.
        batch_size: How many questions vLLM is given at once. It batches them itself; the journal is written
            when all of them are answered.
        journal: Where answers are kept.
        note: Is told what a person should know.
        engine: Further arguments of vLLM's ``LLM`` (``tensor_parallel_size``, ``max_model_len``).

    Raises:
        MissingExtraError: vLLM is not installed.
        ConfigError: There is no model in the folder.
    """

    def __init__(
        self,
        pretrained: str,
        revision: str | None = None,
        device: str | None = None,
        dtype: str = "auto",
        batch_size: int | str = 256,
        journal: Journal | None = None,
        note: Callable[[str], None] | None = None,
        **engine: Any,
    ) -> None:
        super().__init__(journal, note)
        need_vllm()
        if device not in (None, "auto"):
            raise ConfigError(
                f"vLLM chooses its device itself, and is not told {device!r}.",
                "say by CUDA_VISIBLE_DEVICES which it finds",
            )
        self._source = pretrained
        self._revision = revision
        self._dtype = dtype
        self._options = engine
        self.batch_size = int(batch_size)
        if self.batch_size < 1:
            raise ConfigError(f"a batch holds at least one question, not {batch_size}.")
        self._folder = as_folder(pretrained)
        if self._folder is not None:
            checked(self._folder)
        self._engine: Engine | None = None
        self._identity: ModelIdentity | None = None

    @property
    def identity(self) -> ModelIdentity:
        """Which weights answer: for a folder their digest, for a hub id the commit."""
        if self._identity is None:
            if self._folder is None:
                commit = self._load().commit
                self._identity = ModelIdentity(kind="vllm", name=self._source, revision=commit)
            else:
                self._identity = identity_of(self._folder, "vllm")
        return self._identity

    def _ask(self, calls: Sequence[Keyed], missing: set[str], keep: Kept) -> None:
        from lpt_eval.models.vllm_engine import answers

        engine = self._load()
        wanted = [(key, call) for key, call in dict(calls).items() if key in missing]
        for at in range(0, len(wanted), self.batch_size):
            batch = wanted[at : at + self.batch_size]
            keep(list(zip((key for key, _ in batch), answers(engine, batch), strict=True)))
            self.note(f"{at + len(batch):,} of {len(wanted):,} answers")

    def _load(self) -> Engine:
        if self._engine is None:
            from lpt_eval.models.vllm_engine import load

            self.note(f"starting vLLM with {self._source} …")
            source = self._source if self._folder is None else str(self._folder)
            self._engine = load(source, revision=self._revision, dtype=self._dtype, options=self._options)
        return self._engine
