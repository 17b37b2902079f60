"""A million stored continuations: how long selection, export and resume take, and how much memory.

    uv run python tests/benchmarks/scale.py --sizes 125000 250000 500000 1000000

For each size a run directory is made, as a finished run would leave it, with thoughts written by rule (the
generating is not measured). Then, each in a process of its own: `export`, which selects and writes (wall
and CPU seconds, peak resident memory), and `run` with one outcome taken away again (seconds from the start
of the process to its first request at a server on loopback). On a size that they can bear, pandas row loops
of the kind that the authors' scripts have do the part of the work that they do. Prints Markdown, writes
JSON, and exits with 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lpt_synth.config import RunConfig
from lpt_synth.rundir import RunDir
from lpt_synth.status import StoredRun
from lpt_synth.types import Completion, Outcome, Reply, Request

ROOT = Path(__file__).resolve().parents[2]
PER_CAPTION = 240  # 8 questions x 10 short thoughts x 3 continuations
WORDS = tuple(
    re.findall(
        r"\w+",
        "the red car stands left of a small blue house under two tall trees in bright light near water",
    )
)


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[125_000, 250_000, 500_000, 1_000_000])
    parser.add_argument("--folder", type=Path, default=ROOT / ".bench" / "scale")
    parser.add_argument("--loops", type=int, default=6_000, help="continuations for the pandas row loops")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--only-generate", action="store_true", help="make the runs and measure nothing")
    args = parser.parse_args()
    if args.only_generate:
        for size in args.sizes:
            generated(args.folder, size)
        return 0
    rows = [measure(args.folder, size) for size in args.sizes]
    loops = row_loops(args.loops)
    print(table(rows))
    print(
        f"\npandas row loops over {loops['continuations']:,} continuations: {loops['seconds']:.1f} s", end=""
    )
    print(f" ({loops['us_each']:.0f} us each, {loops['us_each_half']:.0f} us at half the size)")
    print(f"ours at the largest size: {rows[-1]['us_each']:.0f} us each, export included")
    if args.json:
        args.json.write_text(json.dumps({"rows": rows, "loops": loops}, indent=1))
    missed = [row for row in rows if row["peak_mb"] > 2048 or row["resume_s"] > 10 or row["export_s"] > 600]
    growth = rows[-1]["us_each"] / rows[0]["us_each"]
    print(f"seconds for each continuation, largest against smallest size: {growth:.2f}")
    return 1 if missed or growth > 1.5 else 0


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The figures as Markdown."""
    lines = [
        "| continuations | store MB | select + export s | CPU s | peak MB | us each | resume s |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['continuations']:,} | {r['store_mb']:.0f} | {r['export_s']:.1f} | {r['cpu_s']:.1f} | "
        f"{r['peak_mb']:.0f} | {r['us_each']:.0f} | {r['resume_s']:.1f} |"
        for r in rows
    ]
    return "\n".join(lines)


def measure(folder: Path, size: int) -> dict[str, Any]:
    """One size, from generating to resuming."""
    out, count = generated(folder, size)
    shutil.rmtree(out / "sets", ignore_errors=True)
    shutil.rmtree(folder / "exported", ignore_errors=True)
    command = ["export", str(out), "--format", "jsonl", "--to", str(folder / "exported")]
    wall, cpu, peak = timed(command)
    resume = first_request_after(out, folder)
    return {
        "continuations": count,
        "store_mb": (out / "store.sqlite").stat().st_size / 2**20,
        "export_s": wall,
        "cpu_s": cpu,
        "peak_mb": peak,
        "us_each": 1e6 * wall / count,
        "resume_s": resume,
    }


def timed(command: Sequence[str]) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak resident MB of a command of lpt-synth."""
    started = time.monotonic()
    pid = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-m", "lpt_synth", *command])
    _, state, usage = os.wait4(pid, 0)
    if state:
        raise SystemExit(f"lpt-synth {' '.join(command)} failed: {state}")
    return time.monotonic() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


# ---- making a run directory ------------------------------------------------------------------------


def settings(captions: Path, base_url: str = "http://127.0.0.1:9/v1") -> RunConfig:
    """The configuration of the run that is made."""
    end = {"base_url": base_url, "prefill": "continue_final_message", "patience_s": 1}
    return RunConfig.model_validate_json(
        json.dumps(
            {
                "source": {"kind": "table", "captions": str(captions), "images": str(captions.parent)},
                "endpoints": {role: end | {"model": role} for role in ("asker", "thinker", "expander")},
                "think": {"n": 10},
                "expand": {"n": 3, "banned_words": ["description", "described", "caption"]},
            }
        )
    )


def generated(folder: Path, size: int) -> tuple[Path, int]:
    """The run of a size, made if it is not there, and how many continuations it holds."""
    out = folder / f"run-{size}"
    made = out.with_name(out.name + "-data") / "continuations"
    if not made.exists():
        count = generate(out, max(1, size // PER_CAPTION))
        made.write_text(str(count))
    return out, int(made.read_text())


def generate(out: Path, captions: int) -> int:
    """A finished run of so many captions; returns how many continuations it holds."""
    from PIL import Image

    shutil.rmtree(out, ignore_errors=True)
    data = out.with_name(out.name + "-data")
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True)
    with (data / "captions.jsonl").open("w") as file:
        for number in range(captions):
            Image.new("RGB", (32, 24), (number % 256, number // 256 % 256, number // 65536)).save(
                data / f"{number}.png"
            )
            text = f"Scene {number}: " + " ".join(random.Random(number).choices(WORDS, k=120))
            row = {"id": str(number), "caption": text, "image": f"{number}.png"}
            file.write(json.dumps(row) + "\n")
    run = RunDir(out)
    run.create()
    config = settings(data / "captions.jsonl")
    run.keep(config)
    with run.open_store(create=True) as store:
        return asyncio.run(_fill(StoredRun(run, config, store)))


async def _fill(stored: StoredRun) -> int:
    """Write what models would have answered, through the store's own door, caption by caption."""
    count = 0
    for row in stored.reader.rows():
        caption = stored.reader.inspect(row)
        puts: list[Any] = [stored.store.put_image(caption.image)]

        def look(request: Request, puts: list[Any] = puts) -> list[Outcome | None]:
            outcomes = [written(request, sample) for sample in range(request.n)]
            reply = Reply(tuple(outcomes), input_tokens=500, output_tokens=100 * request.n)
            puts.append(stored.store.put(request, range(request.n), reply))
            return list(outcomes)

        from lpt_synth.flow import read_tree

        tree = read_tree(stored.flow, caption, look)
        count += tree.tally["expand.answered"]
        await asyncio.gather(*puts)
        await stored.store.put_seal(caption.id, stored.plan, dict(tree.tally))
    return count


def written(request: Request, sample: int) -> Completion:
    """What a model writes, by rule: thoughts of varied length, right or wrong by the draw."""
    draw = random.Random(f"{request.key}{sample}")
    if request.stage == "ask":
        letters = "ABCD"
        lines = [
            f"{k}. <question> What is thing {k} of {request.item[:8]}? </question> <choices> "
            + " ".join(f"({c}) {w} {k}" for c, w in zip(letters, draw.sample(WORDS, 4), strict=True))
            + " </choices> <answer> (B) </answer> <type> Recognition </type>"
            for k in range(8)
        ]
        return Completion("\n".join(lines))
    thought = " ".join(draw.choices(WORDS, k=draw.randint(40, 160)))
    thought += " as described" if draw.random() < 0.1 else ""
    answer = draw.choice("ABCD") if draw.random() < 0.97 else "E"
    end = f"</think> <answer> ({answer}) </answer>" if draw.random() < 0.95 else ""
    return Completion(f" {draw.random()} {thought}. {end}")


# ---- going on --------------------------------------------------------------------------------------


def first_request_after(out: Path, folder: Path) -> float:
    """Seconds from starting `run`, one outcome short, to its first request."""
    take_one_away(RunDir(out))
    arrived: list[float] = []
    with listening(arrived) as url:
        config = settings(out.with_name(out.name + "-data") / "captions.jsonl", url)
        path = folder / "resume.yaml"
        from lpt_synth.settings import dump_config

        path.write_text(dump_config(config))
        started = time.monotonic()
        child = subprocess.Popen(
            [sys.executable, "-m", "lpt_synth", "run", str(path), "--out", str(out), "--quiet"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not arrived and time.monotonic() - started < 120 and child.poll() is None:
            time.sleep(0.01)
        child.kill()
        child.wait()
    return arrived[0] - started if arrived else float("inf")


def take_one_away(run: RunDir) -> None:
    """Leave the store as a kill would: a dozen captions in the middle unsealed, one answer missing."""
    with run.open_store() as store:
        stored = StoredRun(run, run.config(), store)
        captions = list(stored.reader.read())
        middle = captions[len(captions) // 2 :][:12]
        key = stored.flow.ask.request(middle[0]).key
    connection = sqlite3.connect(run.store_path)
    connection.execute("DELETE FROM outcomes WHERE key = ?", (key,))
    connection.executemany("DELETE FROM seals WHERE caption = ?", [(caption.id,) for caption in middle])
    connection.commit()
    connection.close()


def listening(arrived: list[float]) -> Any:
    """A server that notes when a request came, and refuses it."""
    import threading
    from contextlib import contextmanager
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            arrived.append(time.monotonic())
            self.send_error(500)

        def log_message(self, *args: object) -> None:
            pass

    @contextmanager
    def serve() -> Iterator[str]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()

    return serve()


# ---- the way it is mostly done ---------------------------------------------------------------------


def row_loops(count: int) -> dict[str, Any]:
    """Pandas row loops as in the authors' stage 3: concat per row, group by a hash of the text, iterrows.

    They read and filter answers, pair each continuation with its short thought by a look-up over the frame,
    remove duplicates, and draw by weights; they write nothing.
    """
    whole, half = timed_loops(count), timed_loops(count // 2)
    return {
        "continuations": count,
        "seconds": whole,
        "us_each": 1e6 * whole / count,
        "us_each_half": 2e6 * half / count,
    }


def timed_loops(count: int) -> float:
    """Seconds that the loops take."""
    import hashlib

    import pandas as pd

    draw = random.Random(0)
    shorts = pd.DataFrame(
        {
            "id": [f"s{i}" for i in range(count // 3)],
            "mcq": [f"m{i // 10}" for i in range(count // 3)],
            "text": [" ".join(draw.choices(WORDS, k=100)) for _ in range(count // 3)],
        }
    )
    longs = pd.DataFrame(
        {
            "short": [f"s{i // 3}" for i in range(count // 3 * 3)],
            "text": [
                " ".join(draw.choices(WORDS, k=100)) + f"</think><answer>({draw.choice('ABCD')})</answer>"
                for _ in range(count // 3 * 3)
            ],
        }
    )
    started = time.monotonic()
    kept = []
    for _, row in longs.iterrows():
        found = re.search(r"<answer>(.*?)</answer>", row["text"])
        if found is None or any(word in row["text"] for word in ("description", "described", "caption")):
            continue
        short = shorts[shorts["id"] == row["short"]].iloc[0]
        kept.append(
            {
                "id": hashlib.sha256(row["text"].encode()).hexdigest(),
                "mcq": short["mcq"],
                "text": short["text"] + "\nWait," + row["text"],
                "right": found.group(1) == "(B)",
            }
        )
    frame = pd.DataFrame(kept).drop_duplicates("id", keep="first")
    for _, group in frame[frame["right"]].groupby("mcq"):
        lengths = group["text"].str.len().rank(ascending=False) - 1
        weights = (0.5**lengths).clip(lower=1e-300)
        group.sample(n=min(1, len(group)), weights=weights, random_state=42)
    return time.monotonic() - started


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    raise SystemExit(main())
