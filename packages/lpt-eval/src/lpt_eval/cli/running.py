"""What ``lpt-eval run`` does."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lpt_core import ConfigError, PixelPolicy
from lpt_eval.benchmarks import kind_of, load
from lpt_eval.folder import RunFolder
from lpt_eval.harness import Asked
from lpt_eval.journal import Journal
from lpt_eval.models.options import Reached
from lpt_eval.presets import preset
from lpt_eval.protocol import Form, Protocol
from lpt_eval.records import FAILURES, OUTCOMES, Row

_PIXELS = re.compile(r"(area|longer_side)-(\d+)")


@dataclass(frozen=True, slots=True)
class Changes:
    """What the command line says of how to ask; None leaves the protocol's own."""

    protocol: str | None = None
    form: Form = "think"
    pixels: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    samples: int = 1
    shuffles: int = 1
    limit: int | None = None

    def asked(self, task: str) -> Asked:
        """A task as it is to be asked.

        Raises:
            LptError: There is no such task, or its data cannot be used.
        """
        benchmark = load(task)
        if benchmark.left_out:
            benchmark = replace(benchmark, data=f"{benchmark.data} ({len(benchmark.left_out)} rows left out)")
        if self.limit is not None and self.limit < len(benchmark.items):
            data = f"{benchmark.data} (the first {self.limit})"
            benchmark = replace(benchmark, items=benchmark.items[: self.limit], data=data)
        name = self.protocol or kind_of(task.partition("=")[0]).protocol
        labels = {"label_set": benchmark.label_set}
        protocol = preset(name, self.form, benchmark.name).model_copy(update=labels)
        return Asked(benchmark, self._changed(protocol), self.shuffles)

    def _changed(self, protocol: Protocol) -> Protocol:
        wanted = {"max_tokens": self.max_tokens, "temperature": self.temperature, "top_p": self.top_p}
        drawn = {name: value for name, value in wanted.items() if value is not None}
        changes: dict[str, Any] = {"n": self.samples, "sampling": protocol.sampling.model_copy(update=drawn)}
        if self.pixels is not None:
            changes["pixels"] = _pixels(self.pixels)
        if self.seed is not None:
            changes["seed"] = self.seed
        changed = protocol.model_copy(update=changes)
        if changed.n > 1 and not changed.sampling.temperature:
            raise ConfigError(
                f"{changed.n} samples at temperature 0 would all be the same.", "give --temperature"
            )
        if changed.sampling.temperature and changed.seed is None:
            changed = changed.model_copy(update={"seed": 0})
        try:
            changed = Protocol.model_validate(changed.model_dump())
        except ValidationError as error:
            detail = error.errors()[0]
            raise ConfigError(f"{detail['loc'][-1]}: {detail['msg']}.") from None
        same = changed.fingerprint == protocol.fingerprint
        return changed if same else changed.model_copy(update={"name": f"{protocol.name}, changed"})


def run_command(
    how: Reached,
    tasks: Sequence[str],
    changes: Changes,
    out: Path,
    *,
    max_failures: float,
    quiet: bool,
) -> bool:
    """Run, and tell how it went.

    Returns:
        Whether no benchmark has a greater share of failures than allowed.

    Raises:
        LptError: It cannot be done.
    """

    def note(line: str) -> None:
        if not quiet:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

    asked = [changes.asked(task) for task in tasks]  # before the model, which takes longer
    for one in asked:
        for problem in one.benchmark.left_out:
            note(f"warning: {one.benchmark.name}: left out: {problem}")
    folder = RunFolder(out)
    with Journal(folder.journal) as journal:
        note("starting lmms-eval …")
        from lpt_eval.run import run

        info = run(how.open(journal, note), asked, folder, note=note)
    within = True
    for one in asked:
        name = one.benchmark.name
        rows = folder.rows(name)
        sys.stdout.write(_line(name, rows) + "\n" + _by_order(rows))
        if len(rows) < info.expected(name):
            raise ConfigError(f"{name} has {len(rows)} rows of {info.expected(name)}.")
        within &= sum(row.outcome in FAILURES for row in rows) <= max_failures * len(rows)
    sys.stdout.write(f"wrote {out}\n")
    if not within:
        sys.stderr.write(f"more than {max_failures:.0%} of the answers are missing: see --max-failures\n")
    return within


def _line(name: str, rows: Sequence[Row]) -> str:
    counts = Counter(row.outcome for row in rows)
    told = ", ".join(f"{counts[outcome]:,} {outcome}" for outcome in OUTCOMES if counts[outcome])
    failed = sum(counts[outcome] for outcome in FAILURES)
    share = f"{counts['correct'] / len(rows):.1%} correct"
    if 0 < failed < len(rows):
        share += f" ({counts['correct'] / (len(rows) - failed):.1%} of those answered)"
    return f"{name}: {share}: {told}"


def _by_order(rows: Sequence[Row]) -> str:
    """A line with the accuracy under each order of the options, where there are several."""
    hits: dict[int, list[bool]] = {}
    for row in rows:
        hits.setdefault(row.shuffle, []).append(row.outcome == "correct")
    if len(hits) < 2:
        return ""
    shares = ", ".join(f"{sum(hits[order]) / len(hits[order]):.1%}" for order in sorted(hits))
    return f"  correct under each order of the options: {shares}\n"


def _pixels(text: str) -> PixelPolicy | None:
    if text == "none":
        return None
    match = _PIXELS.fullmatch(text)
    if match is None:
        raise ConfigError(f"--pixels is not {text!r}.", "area-512, longer_side-512 or none")
    try:
        return PixelPolicy.model_validate({"rule": match[1], "limit": int(match[2])})
    except ValidationError as error:
        raise ConfigError(f"--pixels {text}: {error.errors()[0]['msg']}.") from None
