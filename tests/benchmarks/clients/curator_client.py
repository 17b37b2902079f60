"""bespokelabs-curator with its own cache of responses, fresh for the run.

Nothing of it is patched. What makes it run offline are settings of its own and of its dependencies:
its telemetry and hosted viewer are off, litellm reads the price list that it ships, and tiktoken, which
curator's constructor would make download its vocabulary, finds the copy that litellm ships.
"""

from __future__ import annotations

import os
from importlib import import_module, metadata, util
from pathlib import Path

from harness import Work, job, report
from workload import SAMPLING, SYSTEM, question

the_job = job("curator_client")

litellm_spec = util.find_spec("litellm")
assert litellm_spec is not None
assert litellm_spec.origin is not None
vocabulary = Path(litellm_spec.origin).parent / "litellm_core_utils" / "tokenizers"
os.environ.update(
    TELEMETRY_ENABLED="0",
    CURATOR_CACHE_DIR=str(the_job.scratch / "curator"),
    HF_HOME=str(the_job.scratch / "huggingface"),
    HF_HUB_OFFLINE="1",
    LITELLM_LOCAL_MODEL_COST_MAP="True",
    TIKTOKEN_CACHE_DIR=str(vocabulary),
    OPENAI_API_KEY="not-needed",
)
os.environ.pop("CURATOR_VIEWER", None)

from bespokelabs import curator  # noqa: E402
from datasets import Dataset  # noqa: E402

# Its constructor imports these when it is first called, which takes seconds; imports are not the work.
for module in ("litellm", "bespokelabs.curator.request_processor.online.openai_online_request_processor"):
    import_module(module)


class Asker(curator.LLM):
    """Asks the question of a row."""

    def prompt(self, input: dict) -> str:
        return input["question"]

    def parse(self, input: dict, response: str) -> dict:
        return {"number": input["number"], "answer": response}


def main() -> None:
    numbers = range(the_job.n)
    with Work() as work:
        asker = Asker(
            model_name="gpt-4o-mini",  # a name that its price list knows
            backend="openai",
            system_prompt=SYSTEM,
            generation_params=dict(SAMPLING),
            backend_params={
                "base_url": the_job.base_url,
                "max_concurrent_requests": the_job.concurrency,
                "max_requests_per_minute": 100_000_000,
                "max_tokens_per_minute": 1_000_000_000_000,
                "require_all_responses": False,
            },
        )
        rows = Dataset.from_dict({"number": list(numbers), "question": [question(i) for i in numbers]})
        answers = asker(rows).dataset
    kept = sum(1 for answer in answers["answer"] if answer)
    version = metadata.version("bespokelabs-curator")
    report(the_job, work, client=f"curator {version}", kept=kept)


if __name__ == "__main__":
    main()
