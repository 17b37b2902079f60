"""A bare ``LLM.generate``, run by the Python of an environment with vLLM.

    python bare_vllm.py ARGUMENTS.json     # of vLLM's LLM

Reads a job a line from standard input, {"prompts": [text, …], "sampling": [{…}, …]}, and writes a line for
it: {"seconds": …, "tokens": …, "hits": tokens of prompts that the prefix cache has had so far}; 0 hits where
vLLM does not count them.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path


def main(file: str) -> None:
    """Load, then answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what vLLM prints belongs elsewhere
    os.environ |= {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    from vllm import LLM, SamplingParams
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # as in our engine
    arguments = json.loads(Path(file).read_text("utf-8"))
    model = LLM(**arguments)
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        sampling = [SamplingParams(**fields) for fields in job["sampling"]]
        begun = time.perf_counter()
        came = model.generate(job["prompts"], sampling, use_tqdm=False)
        seconds = time.perf_counter() - begun
        tokens = sum(len(output.token_ids) for one in came for output in one.outputs)
        hits = 0
        if not arguments["disable_log_stats"]:
            hits = sum(one.value for one in model.get_metrics() if one.name == "vllm:prefix_cache_hits")
        print(json.dumps({"seconds": seconds, "tokens": tokens, "hits": hits}), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
