"""Our engine vllm beside a bare ``LLM.generate`` on the same prompts, and what its prefix cache serves.

    uv run python tests/benchmarks/vllm_engine.py --python .tools/vllm/bin/python
    uv run python tests/benchmarks/vllm_engine.py --python .tools/vllm/bin/python --blocks 320 --shuffle
    python tests/benchmarks/vllm_engine.py --model MODEL          # on a GPU, vLLM in the same environment

Prompts are those of stage 3: captions and questions of the lab, thoughts that begin with what the caption
says. Both have vLLM with the same arguments, each in a process of its own, and take turns, round after round,
each round with prompts that neither has seen. Ours is asked as a run asks it, all requests at once; the bare
one gets the whole list. The best that a prefix cache could do is counted from the tokens: every block of a
prompt but the last token's that a prompt before it had.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

from reporting import machine
from running import Cores

from lpt_core import Segment, Trace, Verdict, derived_int
from lpt_synth.config import ExpandConfig, ThinkConfig, VLLMEndpoint
from lpt_synth.engines.vllm import VLLMEngine
from lpt_synth.lab.student import shipped_student
from lpt_synth.lab.world import World, held_out
from lpt_synth.stages import ExpandStage, ThinkStage
from lpt_synth.types import Model, Request

RATE, HITS = 0.95, 0.9
QUESTIONS, THOUGHTS = 3, 3
IMAGES = {"limit_mm_per_prompt": {"image": 1, "video": 0}}  # as our engine has it where nothing is said


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--python", help="of an environment with vLLM; else this one's")
    parser.add_argument("--model", help="a folder or a hub id; else the lab's student, for the CPU")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--captions", type=int, default=6, help="in a round")
    parser.add_argument("--samples", type=int, default=2, help="of each prompt")
    parser.add_argument("--tokens", type=int, default=48, help="the most that a sample has")
    parser.add_argument("--seqs", type=int, default=32, help="at once")
    parser.add_argument("--block", type=int, default=32, help="tokens of a block of the cache")
    parser.add_argument("--blocks", type=int, help="blocks of the cache; else as many as memory holds")
    parser.add_argument("--shuffle", action="store_true", help="requests arrive in any order")
    parser.add_argument("--json", type=Path, help="write the figures there")
    return parser.parse_args()


def requests(args: argparse.Namespace) -> list[list[Request]]:
    """A list for each round, and one to warm up with."""
    sampling = {"temperature": 0.7, "top_p": 0.8, "max_tokens": args.tokens}
    config = ExpandConfig.model_validate_json(json.dumps({"n": args.samples, "sampling": sampling}))
    stage = ExpandStage(config, Model("bench"), 0)
    think = ThinkStage(ThinkConfig(), Model("bench"), 0)
    scenes = held_out(World(seed=7), (args.rounds + 1) * args.captions, per_scene=QUESTIONS)
    rounds: list[list[Request]] = []
    while some := list(islice(scenes, args.captions)):
        made: list[Request] = []
        for caption, mcqs, _ in some:
            sentences = [s for s in caption.text.split(". ") if s]
            for mcq in mcqs:
                shown = think.present(mcq)
                text = stage.user_text(caption, mcq, shown)
                for number in range(THOUGHTS):
                    said = f"I look closely. {sentences[number % len(sentences)]}. So it may be {number}."
                    thought = Trace.make(
                        caption_id=caption.id,
                        presentation=shown,
                        segments=(Segment(kind="thought", text=said),),
                        answer="(A)",
                        verdict=Verdict(status="missing"),
                    )
                    made.append(stage.request(thought, text))
        if args.shuffle:
            random.Random(len(rounds)).shuffle(made)
        rounds.append(made)
    return rounds


class Bare:
    """``LLM.generate`` in a process of its own."""

    def __init__(self, python: str, arguments: dict[str, Any], folder: Path, *, count: bool) -> None:
        file = folder / "arguments.json"
        file.write_text(json.dumps(arguments | {"disable_log_stats": not count, **IMAGES}))
        script = Path(__file__).parent / "clients" / "bare_vllm.py"
        log = (folder / "bare.log").open("wb")
        self.process = subprocess.Popen(
            [python, str(script), str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        self.line()

    def line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("the bare vLLM has ended; its log is gone with it: run it by hand")
        return line

    def ask(self, prompts: Sequence[str], asked: Sequence[Request]) -> dict[str, Any]:
        assert self.process.stdin is not None
        sampling = [
            request.sampling.model_dump(exclude_none=True, exclude={"stop", "bad_words"})
            | {"n": request.n, "seed": derived_int(0, request.key, bits=48)}
            for request in asked
        ]
        self.process.stdin.write(json.dumps({"prompts": prompts, "sampling": sampling}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.line())

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


async def ours(engine: VLLMEngine, asked: Sequence[Request]) -> dict[str, Any]:
    """All requests at once; seconds and tokens, and what the prefix cache had of the prompts' tokens."""
    (copy,) = engine._copies.running
    before = copy.host.queries, copy.host.hits
    begun = time.perf_counter()
    came = await asyncio.gather(*(engine.complete(one, tuple(range(one.n))) for one in asked))
    seconds = time.perf_counter() - begun
    await asyncio.sleep(1)  # idle, it tells its counters
    return {
        "seconds": seconds,
        "tokens": sum(reply.output_tokens for reply in came),
        "queries": copy.host.queries - before[0],
        "hits": copy.host.hits - before[1],
    }


def best(prompts: Sequence[Sequence[int]], samples: int, block: int, seen: set[tuple[int, ...]]) -> int:
    """Tokens that an endless cache would have had; blocks of earlier rounds are in ``seen``."""
    hits = 0
    for ids in prompts:
        chains = [tuple(ids[: end * block]) for end in range(1, (len(ids) - 1) // block + 1)]
        for _ in range(samples):
            hits += sum(block for chain in chains if chain in seen)
            seen.update(chains)
    return hits


def prompts_of(tokenizer: Any, asked: Sequence[Request]) -> list[str]:
    """The texts that our engine makes of the requests."""
    return [
        tokenizer.apply_chat_template(
            [{"role": message.role, "content": [{"type": "text", "text": message.text}]}
             for message in one.messages],
            tokenize=False,
            add_generation_prompt=True,
        )
        + one.prefill
        for one in asked
    ]  # fmt: skip


async def measure(args: argparse.Namespace, endpoint: VLLMEndpoint, folder: Path) -> dict[str, Any]:
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(endpoint.model)
    rounds = requests(args)
    texts = [prompts_of(tokenizer, asked) for asked in rounds]
    engine = VLLMEngine(endpoint, no_image, notice=print, log=folder / "ours.log")
    await engine.open()
    rows: list[dict[str, Any]] = []
    seen: set[tuple[int, ...]] = set()
    before = 0
    try:
        await engine.complete(rounds[-1][0], (0,))
        bare = await asyncio.to_thread(
            Bare, args.python or sys.executable, endpoint.engine_arguments(), folder, count=args.shuffle
        )
        for number in (len(rounds) - 1, *range(args.rounds)):
            ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts[number]]
            turns = {
                "ours": lambda n=number: ours(engine, rounds[n]),
                "bare": lambda n=number: asyncio.to_thread(bare.ask, texts[n], rounds[n]),
            }
            order = sorted(turns, reverse=number % 2 == 0)
            came = {name: await turns[name]() for name in order}
            row = came["ours"] | {"bare": came["bare"], "best": best(ids, args.samples, args.block, seen)}
            if number >= args.rounds:  # the first is to warm up
                before = came["bare"]["hits"]
            else:
                rows.append(row)
                print(json.dumps(row), flush=True)
        bare.close()
    finally:
        await engine.close()
    return summary(args, rows, sum(map(len, rounds[: args.rounds])), before)


async def no_image(_: object) -> str:
    raise AssertionError("stage 3 shows no image")


def summary(args: argparse.Namespace, rows: list[dict[str, Any]], count: int, before: int) -> dict[str, Any]:
    rate = [row["tokens"] / row["seconds"] for row in rows]
    bare = [row["bare"]["tokens"] / row["bare"]["seconds"] for row in rows]
    queries, hits, ideal = (sum(row[name] for row in rows) for name in ("queries", "hits", "best"))
    return {
        "prompts": count,
        "samples": args.samples,
        "ours_tokens_per_s": median(rate),
        "bare_tokens_per_s": median(bare),
        "ratio": median(a / b for a, b in zip(rate, bare, strict=True)),
        "hit_rate": hits / queries,
        "best_hit_rate": ideal / queries,
        "of_best": hits / ideal,
        "bare_of_best": (rows[-1]["bare"]["hits"] - before) / ideal,
        "rows": rows,
    }


def main() -> None:
    args = arguments()
    where = machine(Cores())
    fields: dict[str, Any] = {"options": {"block_size": args.block}}
    if args.blocks:
        fields["options"]["num_gpu_blocks_override"] = args.blocks
    with tempfile.TemporaryDirectory() as folder, shipped_student() as student:
        if args.model is None:
            os.environ |= {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
            fields |= {"dtype": "float32", "max_model_len": 2048}
            fields["options"]["enforce_eager"] = True
        endpoint = VLLMEndpoint(
            engine="vllm",
            model=args.model or str(student),
            python=args.python,
            max_num_seqs=args.seqs,
            gpu_memory_utilization=0.4,
            **fields,
        )
        result = asyncio.run(measure(args, endpoint, Path(folder)))
    result["machine"] = where
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    print(where)
    print(
        f"{result['prompts']} prompts, {result['samples']} samples each, medians of {args.rounds} rounds: "
        f"ours {result['ours_tokens_per_s']:,.0f} tokens/s, bare {result['bare_tokens_per_s']:,.0f}; "
        f"median of the ratios {result['ratio']:.3f} (target {RATE})"
    )
    print(
        f"prefix cache: {result['hit_rate']:.3f} of the prompts' tokens, best possible "
        f"{result['best_hit_rate']:.3f}: {result['of_best']:.3f} of that (target {HITS})"
    )
    if args.shuffle:
        print(f"the bare one, in the order of arrival: {result['bare_of_best']:.3f} of the best possible")
    raise SystemExit(0 if result["ratio"] >= RATE and result["of_best"] >= HITS else 1)


if __name__ == "__main__":
    main()
