from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from lpt_synth.lab.draw import draw_scene
from lpt_synth.lab.student import shipped_student
from lpt_synth.lab.student.batches import Batches
from lpt_synth.lab.student.measure import answers, items, load_student, score

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".tools" / "vllm" / "bin" / "python"
QUESTIONS = 48


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON.exists(), reason="there is no vLLM here: `bash .ci/vllm-cpu` installs it")
def test_the_student_answers_in_real_vllm_as_it_does_in_transformers(tmp_path: Path) -> None:
    asked = items("test", QUESTIONS)
    with shipped_student() as folder:
        model, processor = load_student(folder)
        batches = Batches(processor.tokenizer)
        prompts: list[dict[str, str]] = []
        for number, item in enumerate(asked):
            image = tmp_path / f"{number}.png"
            draw_scene(item.scene).save(image)
            prompts.append({"text": batches.prompt(item.lesson), "image": str(image)})
        job, came = tmp_path / "job.json", tmp_path / "answers.json"
        sampling = {"temperature": 0, "max_tokens": 80}
        job.write_text(json.dumps({"model": str(folder), "prompts": prompts, "sampling": sampling}))
        done = subprocess.run(
            [PYTHON, Path(__file__).with_name("vllm_answers.py"), job, came],
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        ours = answers(model, processor, asked)
    rows = json.loads(came.read_text())
    theirs = [row["texts"][0] for row in rows]
    image_token = processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")
    assert all(row["prompt_token_ids"].count(image_token) == 9 for row in rows)
    # Rounding differs, so a near-tie may fall otherwise; a wrong position or picture would change most.
    same = sum(a.strip() == b.strip() for a, b in zip(ours, theirs, strict=True))
    assert same >= 0.9 * QUESTIONS, list(zip(ours, theirs, strict=True))
    assert score(asked, theirs).readable > 0.9
