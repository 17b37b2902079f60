"""The whole loop in the lab, from pictures to models that are compared: `just study`.

    python docs/study/study.py --out lab-study            # three seeds, two at a time
    python docs/study/study.py --out lab-study --page     # and write docs/explanation/lab-study.md from it

Everything is done by the packages' own commands, which are printed; each of them goes on where it was, so
does this. Needs the four packages, no GPU and no network.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import page
import results
from arms import ARMS, BASE, SELECT, TRAIN, Arm

TASK = "mcq_file"


@dataclass(slots=True)
class Study:
    """A folder with everything that one study makes.

    Attributes:
        out: The folder.
        captions: Pictures of each seed's synthesis.
        scenes: Held-out pictures, four questions about each.
        arms: What is trained and asked.
    """

    out: Path
    captions: int
    scenes: int
    arms: Sequence[Arm]
    begun: float = field(default_factory=time.monotonic)
    saying: threading.Lock = field(default_factory=threading.Lock)

    @property
    def held(self) -> Path:
        """The held-out questions, the same for all."""
        return self.out / "held"

    def prepare(self) -> None:
        """The held-out questions, and what the student answers before any training."""
        if not (self.held / "mcqs.jsonl").exists():
            shutil.rmtree(self.held, ignore_errors=True)  # begun and not ended
            self.call("lpt-synth", "lab-questions", self.held, "--scenes", self.scenes)

    def seed(self, seed: int) -> None:
        """Synthesise, train every arm, ask each."""
        home = self.out / f"seed-{seed}"
        demo = home / "demo"
        self.call("lpt-synth", "demo", "--out", demo, "--captions", self.captions, "--seed", seed, "--quiet")
        wanted = {arm.name for arm in self.arms}
        self._select(home, "long")
        if "sft-short" in wanted:
            self._select(home, "short")
        if "grpo" in wanted and not (home / "prompts").exists():
            self.call("lpt-synth", "export", demo / "run", "--format", "prompts", "--to", home / "prompts")
        for arm in self.arms:
            if arm.kind != "base":
                self._train(home, arm, seed)
                self.ask(home / arm.name / "model", arm, home / "asked" / arm.name)

    def ask(self, model: Path, arm: Arm, to: Path) -> None:
        """Ask a model all held-out questions."""
        options = ("--form", arm.form, "--max-tokens", 320, "--batch-size", 32, "--quiet")
        self.call("lpt-eval", "run", model, "--task", f"{TASK}={self.held}", "--out", to, *options)

    def _select(self, home: Path, which: str) -> None:
        """Training sets of the demonstration's outcomes by another selection; no model is asked."""
        demo, copy = home / "demo", home / f"{which}-run"
        if (copy / "sets" / "manifest.json").exists():
            return
        shutil.rmtree(copy, ignore_errors=True)  # begun and not ended
        copy.mkdir()
        for name in ("config.yaml", "store.sqlite"):
            shutil.copy2(demo / "run" / name, copy)
        longs = home / "long-run" / "sets" / "sft.jsonl"
        count = sum(1 for _ in longs.open(encoding="utf-8")) if which == "short" else 0
        text = (demo / "demo.yaml").read_text(encoding="utf-8")
        text = text[: text.index("select:")] + "select:\n" + SELECT[which].format(count=count)
        (demo / f"{which}.yaml").write_text(text, encoding="utf-8")
        self.call("lpt-synth", "run", demo / f"{which}.yaml", "--out", copy, "--quiet")

    def _train(self, home: Path, arm: Arm, seed: int) -> None:
        if (home / arm.name / "model").exists():
            return
        config = home / f"{arm.name}.yaml"
        config.write_text(
            TRAIN.format(
                seed=seed,
                student="demo/lab-student-v1",
                sets=f"{arm.sets}-run/sets",
                sft="sft/model",
                prompts="prompts/prompts.jsonl",
            ),
            encoding="utf-8",
        )
        self.call("lpt-train", arm.kind, config, "--out", home / arm.name, "--quiet")

    def call(self, program: str, *arguments: object) -> None:
        """A command of one of the packages; what it says is shown if it fails."""
        words = [str(argument) for argument in arguments]
        began = time.monotonic()
        self.say(f"{program} {shlex.join(words)}")
        done = subprocess.run(
            [sys.executable, "-m", program.replace("-", "_"), *words],
            capture_output=True,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        )
        if done.returncode:
            raise SystemExit(f"{program} {shlex.join(words)}\n{done.stdout}{done.stderr}")
        self.say(f"  {time.monotonic() - began:.0f} s  {program} {words[0]} … {words[-1]}")

    def say(self, line: str) -> None:
        """One line, with the minutes since the start."""
        with self.saying:
            print(f"[{(time.monotonic() - self.begun) / 60:5.1f} min] {line}", flush=True)


def main(given: Sequence[str] | None = None) -> int:
    """Run the study, and write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("lab-study"), help="everything lands here")
    parser.add_argument("--seeds", type=int, default=3, help="worlds and trainings (3)")
    parser.add_argument("--captions", type=int, default=60, help="pictures of each synthesis (60)")
    parser.add_argument(
        "--scenes", type=int, default=150, help="held-out pictures, four questions each (150)"
    )
    parser.add_argument("--at-once", type=int, default=2, help="seeds worked on at once, a core each (2)")
    parser.add_argument("--arms", nargs="*", help="only these rows of the table")
    parser.add_argument("--page", action="store_true", help="write the page of the documentation")
    asked = parser.parse_args(given)
    arms = [arm for arm in ARMS if asked.arms is None or arm.name in asked.arms or arm is BASE]
    asked.out.mkdir(parents=True, exist_ok=True)
    study = Study(asked.out.resolve(), asked.captions, asked.scenes, arms)
    study.prepare()
    with ThreadPoolExecutor(asked.at_once) as pool:
        list(pool.map(study.seed, range(asked.seeds)))
        student = study.out / "seed-0" / "demo" / "lab-student-v1"
        bases = [arm for arm in arms if arm.kind == "base"]
        list(pool.map(lambda arm: study.ask(student, arm, study.out / "asked" / arm.name), bases))
    found = results.collect(study.out, arms, asked.seeds)
    found["captions"] = asked.captions
    found["minutes"] = round((time.monotonic() - study.begun) / 60, 1)
    results.write(study.out / "study.json", found)
    print(page.table(found))
    if asked.page:
        results.write(Path(__file__).with_name("study.json"), found)
        page.write(found)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
