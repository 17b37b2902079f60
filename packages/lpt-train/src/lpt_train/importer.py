"""Configurations of LLaMA-Factory turned into ours, with a word on what became of every key.

Nothing is left out in silence: a key is honoured, changed (it means something a little different here, or
takes another value), or ignored, with the reason. What LLaMA-Factory does without being told is written out
as well where we would do something else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from lpt_core import ConfigError, StoreError
from lpt_core.yaml_lines import parse_yaml, read_text, validated
from lpt_train.config import TrainConfig
from lpt_train.import_draft import Draft, Finding
from lpt_train.import_keys import add_defaults, take_key

__all__ = ["Finding", "Imported", "import_file"]


@dataclass(frozen=True, slots=True)
class Imported:
    """A configuration of LLaMA-Factory in our terms.

    Attributes:
        path: The file.
        config: Ours; it may still lack the rows.
        yaml: Ours as YAML, with what was said and nothing else.
        findings: What became of each key, in their order, then what was added.
    """

    path: Path
    config: TrainConfig
    yaml: str
    findings: tuple[Finding, ...]

    def report(self) -> str:
        """What became of every key, a line each."""
        counts = ", ".join(
            f"{sum(one.fate == fate for one in self.findings)} {fate}"
            for fate in ("honoured", "changed", "ignored", "added")
        )
        return "\n".join([*map(str, self.findings), f"{self.path}: {counts}"]) + "\n"

    def write(self, to: Path) -> None:
        """Write the configuration into a new file.

        Raises:
            ConfigError: There is a file already.
            StoreError: It cannot be written.
        """
        try:
            with to.open("x", encoding="utf-8") as file:
                file.write(self.yaml)
        except FileExistsError:
            raise ConfigError(f"{to} is there already.", "give a new file, or remove it") from None
        except OSError as error:
            raise StoreError(f"{to} cannot be written: {error.strerror or error}.") from error


def import_file(path: Path) -> Imported:
    """Read a configuration of LLaMA-Factory.

    Raises:
        ConfigError: It cannot be read, or asks for what lpt-train does not do at all.
    """
    source, lines = parse_yaml(read_text(path), path)
    stage = source.get("stage", "sft")
    if stage not in ("sft", "dpo"):
        raise ConfigError(f"{path}: stage is {stage!r}; lpt-train does sft and dpo.")
    draft = Draft(source, lines, str(stage))
    for key, value in source.items():
        take_key(draft, str(key), value)
    add_defaults(draft)
    config = validated(lambda: TrainConfig.model_validate(draft.made), path, draft.places)
    head = f"# From {path.name}, a configuration of LLaMA-Factory.\n"
    text = head + yaml.safe_dump(draft.made, sort_keys=False, allow_unicode=True)
    return Imported(path, config, text, tuple(draft.findings))
