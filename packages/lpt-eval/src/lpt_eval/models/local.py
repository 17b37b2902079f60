"""Models in the process itself, loaded with transformers as lmms-eval's model ``lpt_transformers``."""

# lmms-eval has no types; what goes in and out of it is typed here.
# pyright: reportMissingTypeStubs=false, reportUntypedBaseClass=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from lpt_core import ConfigError, MissingExtraError
from lpt_eval.journal import Journal
from lpt_eval.model_folder import as_folder, checked, identity_of
from lpt_eval.models.recording import Kept, Keyed, RecordingModel
from lpt_eval.records import ModelIdentity

if TYPE_CHECKING:
    from lpt_eval.models.hf import Loaded


class LocalModel(RecordingModel):
    """A vision-language (or text) model of transformers, asked in batches.

    Batches are made of all calls, also of those that the journal answers, so that a run that was stopped goes
    on with the very batches that it would have had: the last digits of what a model computes depend on them.

    Args:
        pretrained: A folder that save_pretrained wrote, or a hub id.
        revision: Of a hub id.
        device: "cuda", "cuda:1", "cpu"; "auto" for what there is.
        dtype: "float32", "bfloat16", "float16"; "auto" for as saved (on the CPU: float32).
        batch_size: How many answers at once.
        attention: transformers' ``attn_implementation``; "auto" for its choice.
        journal: Where answers are kept.
        note: Is told what a person should know.

    Raises:
        MissingExtraError: torch or transformers is not installed.
        ConfigError: There is no model in the folder.
    """

    def __init__(
        self,
        pretrained: str,
        revision: str | None = None,
        device: str | None = "auto",
        dtype: str = "auto",
        batch_size: int | str = 16,
        attention: str = "auto",
        journal: Journal | None = None,
        note: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(journal, note)
        if not all(find_spec(name) for name in ("torch", "torchvision", "transformers")):
            raise MissingExtraError.of("lpt-eval", "transformers", "a model in the process")
        self._source = pretrained
        self._revision = revision
        self._device = device or "auto"
        self._dtype = dtype
        self._attention = attention
        self.batch_size = int(batch_size)
        if self.batch_size < 1:
            raise ConfigError(f"a batch holds at least one answer, not {batch_size}.")
        self._folder = as_folder(pretrained)
        if self._folder is not None:
            checked(self._folder)
        self._loaded: Loaded | None = None
        self._identity: ModelIdentity | None = None

    @property
    def identity(self) -> ModelIdentity:
        """Which weights answer: for a folder their digest, for a hub id the commit."""
        if self._identity is None:
            self._identity = self._identified()
        return self._identity

    def _identified(self) -> ModelIdentity:
        if self._folder is None:
            return ModelIdentity(kind="transformers", name=self._source, revision=self._load().commit)
        return identity_of(self._folder, "transformers")

    def _ask(self, calls: Sequence[Keyed], missing: set[str], keep: Kept) -> None:
        from lpt_eval.models.hf import answers

        loaded = self._load()
        done = len({key for key, _ in calls}) - len(missing)
        total = done + len(missing)
        for batch in _batches(calls, self.batch_size):
            if not any(key in missing for key, _ in batch):
                continue
            arrived = list(zip((key for key, _ in batch), answers(loaded, batch), strict=True))
            keep(arrived)
            done += sum(key in missing for key, _ in batch)
            self.note(f"{done:,} of {total:,} answers")

    def _load(self) -> Loaded:
        if self._loaded is None:
            from lpt_eval.models.hf import load

            self.note(f"loading {self._source} …")
            self._loaded = load(
                self._source if self._folder is None else str(self._folder),
                revision=self._revision,
                device=self._device,
                dtype=self._dtype,
                attention=self._attention,
            )
        return self._loaded


def _batches(calls: Sequence[Keyed], size: int) -> list[list[Keyed]]:
    """Calls that are answered alike and are about as long, in an order that depends on them alone."""
    once = dict(calls)
    groups: dict[str, list[Keyed]] = {}
    for key, call in once.items():
        form = f"{call.settings.sampling.model_dump_json()} {len(call.images)}"
        groups.setdefault(form, []).append((key, call))
    batches: list[list[Keyed]] = []
    for form in sorted(groups):
        ordered = sorted(groups[form], key=lambda keyed: (_length(keyed), keyed[0]))
        batches += [ordered[at : at + size] for at in range(0, len(ordered), size)]
    return batches


def _length(keyed: Keyed) -> int:
    return sum(len(part) for turn in keyed[1].turns for part in turn.parts if isinstance(part, str))
