"""distilabel: a pipeline of one TextGeneration step, with its cache on as by default, fresh for the run."""

from __future__ import annotations

import os
from importlib import import_module, metadata

from harness import Work, job, report
from workload import SAMPLING, SYSTEM, question

the_job = job("distilabel_client")
os.environ.update(
    DISTILABEL_CACHE_DIR=str(the_job.scratch / "distilabel"),
    DISTILABEL_LOG_LEVEL="WARNING",
    HF_HOME=str(the_job.scratch / "huggingface"),
    HF_HUB_OFFLINE="1",
)

import openai  # noqa: E402
from distilabel.models.llms import OpenAILLM  # noqa: E402
from distilabel.pipeline import Pipeline  # noqa: E402
from distilabel.steps import LoadDataFromDicts  # noqa: E402
from distilabel.steps.tasks import TextGeneration  # noqa: E402

# The step's process is forked from this one: what is imported here it need not import during the work.
for module in ("openai.resources.chat", "datasets", "pyarrow.parquet"):
    import_module(module)


def main() -> None:
    with Work() as work:
        with Pipeline("speed", cache_dir=the_job.scratch / "pipelines") as pipeline:
            rows = [{"instruction": question(i)} for i in range(the_job.n)]
            load = LoadDataFromDicts(data=rows, batch_size=the_job.concurrency)
            ask = TextGeneration(
                system_prompt=SYSTEM,
                llm=OpenAILLM(
                    model="stub",
                    base_url=the_job.base_url,
                    api_key="not-needed",  # type: ignore[arg-type]
                    generation_kwargs={
                        "temperature": SAMPLING["temperature"],
                        "top_p": SAMPLING["top_p"],
                        "max_new_tokens": SAMPLING["max_tokens"],
                    },
                ),
                # A step sends a batch at a time and waits for it: this is its concurrency.
                input_batch_size=the_job.concurrency,
            )
            load >> ask
        answers = pipeline.run()["default"]["train"]
    kept = sum(1 for answer in answers["generation"] if answer)
    version = f"distilabel {metadata.version('distilabel')}, openai {openai.__version__}"
    report(the_job, work, client=version, kept=kept)


if __name__ == "__main__":
    main()
