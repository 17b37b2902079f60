"""What `lpt-synth demo` runs: pictures and captions, a copy of the student, and an ordinary configuration."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from lpt_core import ConfigError, DataError
from lpt_synth.lab.student import STUDENT, shipped_student
from lpt_synth.lab.world import CAPTIONS_FILE, World, write_world
from lpt_synth.rundir import write_atomically

_MARK = "# The configuration of `lpt-synth demo`"
_CONFIG = """\
{mark}, an ordinary one: change it, and run it with
#   lpt-synth run {config} --out {run}
# What is not given here comes from the recipe; `lpt-synth show-recipe default` prints that.
recipe: default
seed: {seed}

source: {{ kind: table, captions: world/{captions}, images: world, licence: Apache-2.0 }}

endpoints:
  # A program that reads the captions of this world, and plays the two language models. For pictures of your
  # own, name models behind OpenAI-compatible endpoints instead.
  asker: &teacher {{ engine: lab_teacher, model: lab-teacher-v1, licence: Apache-2.0, seed: {seed} }}
  expander: *teacher
  # A vision-language model of 1.9 million parameters, which looks at the pictures; any other may stand here.
  # In float64 no drawn token depends on which answers are computed together: equal seeds make equal sets.
  thinker: {{ engine: transformers, model: ./{student}, licence: Apache-2.0, dtype: float64, batch_size: 96 }}

think:
  sampling: {{ temperature: 0.7, top_p: 0.95, max_tokens: 96 }}
  pixels: {{ rule: area, limit: 84, format: png }} # as large as the pictures are
expand:
  sampling: {{ max_tokens: 256 }}
select:
  sft: {{ keep_right: 0.3, length_base: 0.9 }} # a small run keeps more than the recipe's tenth
"""


@dataclass(frozen=True, slots=True)
class Demo:
    """A demonstration's folder, and what lies where in it."""

    folder: Path

    @property
    def config(self) -> Path:
        """The configuration."""
        return self.folder / "demo.yaml"

    @property
    def run(self) -> Path:
        """The run's directory."""
        return self.folder / "run"

    @property
    def report(self) -> Path:
        """The run as a page."""
        return self.folder / "report.html"

    @property
    def world(self) -> Path:
        """Pictures and captions."""
        return self.folder / "world"

    @property
    def student(self) -> Path:
        """The student's folder, as `save_pretrained` writes one."""
        return self.folder / STUDENT

    @property
    def trl(self) -> Path:
        """The sets as TRL reads them."""
        return self.folder / "trl"


def prepare(demo: Demo, world: World, captions: int) -> bool:
    """Write what the demonstration needs; what is there already stays.

    Args:
        demo: Where.
        world: Which scenes; its seed is the run's.
        captions: How many.

    Returns:
        Whether the configuration is another than would be written: it was changed, and is left as it is.

    Raises:
        ConfigError: The folder holds something else.
        DataError: It cannot be written.
    """
    _check(demo)
    write_world(demo.world, world, captions)
    text = _CONFIG.format(
        mark=_MARK,
        config=demo.config.name,
        run=demo.run.name,
        captions=CAPTIONS_FILE,
        student=STUDENT,
        seed=world.seed,
    )
    try:
        copy_student(demo.student)
        if demo.config.exists():
            return demo.config.read_text(encoding="utf-8") != text
        write_atomically(demo.config, text)
    except OSError as error:
        raise DataError(f"{demo.folder} cannot be written: {error.strerror or error}.") from error
    return False


def _check(demo: Demo) -> None:
    folder = demo.folder
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file.", "choose another --out")
    ours = {demo.world.name, demo.student.name, demo.config.name}
    if folder.is_dir() and (there := {path.name for path in folder.iterdir()}) and not there & ours:
        raise ConfigError(f"{folder} has files in it and is no demonstration.", "choose another --out")


def copy_student(to: Path) -> None:
    """Copy the student that ships with lpt-synth; a folder that is there stays as it is.

    Raises:
        OSError: It cannot be written.
    """
    if to.exists():
        return
    to.parent.mkdir(parents=True, exist_ok=True)
    unfinished = to.with_name(f".{to.name}.tmp")
    shutil.rmtree(unfinished, ignore_errors=True)
    with shipped_student() as shipped:
        shutil.copytree(shipped, unfinished)
    unfinished.replace(to)
