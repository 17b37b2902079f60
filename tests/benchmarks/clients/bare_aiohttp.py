"""The yardstick: aiohttp and nothing else. Answers are held in memory; nothing is retried or kept."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import aiohttp
from harness import Job, Work, job, report
from workload import SAMPLING, messages


async def ask(the_job: Job) -> list[str]:
    """The answers to all prompts, in the order in which they came."""
    url = f"{the_job.base_url}/chat/completions"
    answers: list[str] = []
    connector = aiohttp.TCPConnector(limit=the_job.concurrency)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def worker(numbers: Iterator[int]) -> None:
            for number in numbers:
                payload = {"model": "stub", "messages": messages(number), **SAMPLING}
                async with session.post(url, json=payload) as response:
                    reply = await response.json()
                if response.status == 200:
                    answers.append(reply["choices"][0]["message"]["content"])

        numbers = iter(range(the_job.n))
        await asyncio.gather(*(worker(numbers) for _ in range(the_job.concurrency)))
    return answers


def main() -> None:
    the_job = job("bare_aiohttp")
    with Work() as work:
        answers = asyncio.run(ask(the_job))
    report(the_job, work, client=f"aiohttp {aiohttp.__version__}", kept=len(answers))


if __name__ == "__main__":
    main()
