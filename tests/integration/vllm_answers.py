"""Answers of a model in real vLLM on the CPU; run with the Python of .tools/vllm.

    python vllm_answers.py JOB.json ANSWERS.json

JOB.json: {"model": folder, "prompts": [{"text": …, "image": path}], "sampling": {…}}
ANSWERS.json: [{"prompt_token_ids": […], "texts": […]}]
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main(job_file: str, answers_file: str) -> None:
    """Load, answer, write."""
    os.environ |= {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
    # Otherwise a second process loads vLLM too.
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    from PIL import Image
    from vllm import LLM, SamplingParams

    job = json.loads(Path(job_file).read_text("utf-8"))
    model = LLM(
        model=job["model"],
        max_model_len=1024,
        limit_mm_per_prompt={"image": 1, "video": 0},
        enforce_eager=True,
        dtype="float32",
        max_num_seqs=32,
    )
    prompts = [
        {"prompt": one["text"], "multi_modal_data": {"image": Image.open(one["image"]).convert("RGB")}}
        for one in job["prompts"]
    ]
    answered = model.generate(prompts, SamplingParams(**job["sampling"]), use_tqdm=False)
    rows = [
        {"prompt_token_ids": list(one.prompt_token_ids), "texts": [out.text for out in one.outputs]}
        for one in answered
    ]
    Path(answers_file).write_text(json.dumps(rows), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
