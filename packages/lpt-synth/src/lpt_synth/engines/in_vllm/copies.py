"""The copies of a model: started together, ended together."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lpt_core import ConfigError
from lpt_synth.engines.in_vllm.asking import Copy
from lpt_synth.engines.in_vllm.devices import names, used_mib, wait_until_free
from lpt_synth.engines.in_vllm.host import Host
from lpt_synth.vllm_endpoint import VLLMEndpoint

Count = Callable[[str, int, int], None]
"""Gets a model's name, the tokens of all prompts, and those of them that the prefix cache had."""


@dataclass(slots=True, eq=False)
class Copies:
    """The processes of an endpoint.

    Args:
        endpoint: Which model, how many copies, where.
        notice: Is told what a person should know.
        count: Gets what prefix caches did, when the processes have ended.
        log: The file that vLLM's own messages are added to; None for one that goes with this object.

    Attributes:
        running: Those that are loaded.
    """

    endpoint: VLLMEndpoint
    notice: Callable[[str], None]
    count: Count | None
    log: Path | None
    running: list[Copy] = field(default_factory=list[Copy])
    _before: dict[str, int] = field(default_factory=dict[str, int])
    _scratch: tempfile.TemporaryDirectory[str] | None = None

    @property
    def died(self) -> str | None:
        """How a process ended that should not have; None where all are well."""
        return next((copy.host.dead for copy in self.running if copy.host.dead is not None), None)

    async def start(self) -> None:
        """Start the processes and wait until all have the model loaded.

        Raises:
            ConfigError, EndpointError: One cannot; none is left running then.
        """
        name = self.endpoint.identity.name
        self.notice(f"loading {name} into vLLM …")
        begun = time.monotonic()
        hosts = [self._host(number) for number in range(self.endpoint.data_parallel_size)]
        self._before = await asyncio.to_thread(used_mib, self._devices())
        starting = [asyncio.ensure_future(asyncio.to_thread(host.start)) for host in hosts]
        try:
            versions = await asyncio.gather(*starting)
        except BaseException:
            await asyncio.gather(*(asyncio.to_thread(host.interrupt) for host in hosts))
            await asyncio.gather(*starting, return_exceptions=True)
            await asyncio.gather(*(asyncio.to_thread(host.stop) for host in hosts))
            raise
        self.running = [Copy(host) for host in hosts]
        self.notice(f"{name} is loaded in vLLM {versions[0]} ({time.monotonic() - begun:.0f} s)")

    async def stop(self) -> None:
        """End the processes, see that their memory is free, and count what their prefix caches did."""
        ending, self.running = self.running, []
        if not ending:
            return
        await asyncio.gather(*(asyncio.to_thread(copy.host.stop) for copy in ending))
        if self.count is not None:
            name = self.endpoint.identity.name
            self.count(name, sum(one.host.queries for one in ending), sum(one.host.hits for one in ending))
        left = await asyncio.to_thread(wait_until_free, self._before)
        if left is not None:
            self.notice(f"{self.endpoint.identity.name} has ended, but {left}")

    def forget(self) -> None:
        """Remove the log, where it was not to be kept."""
        if self._scratch is not None:
            self._scratch.cleanup()
            self._scratch = None

    @property
    def log_file(self) -> Path:
        """Where vLLM's own messages go."""
        if self.log is not None:
            return self.log
        if self._scratch is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="lpt-vllm-")
        return Path(self._scratch.name) / "vllm.log"

    @property
    def _chosen(self) -> bool:
        return self.endpoint.devices is not None or self.endpoint.data_parallel_size > 1

    def _devices(self) -> list[str]:
        try:
            return names(self.endpoint.places)
        except ConfigError:
            if self._chosen:
                raise
            return []  # it may be for the CPU; what is too much for the GPUs is for vLLM to say

    def _host(self, number: int) -> Host:
        endpoint, width = self.endpoint, self.endpoint.tensor_parallel_size
        environment: dict[str, str] = {}
        if self._chosen:
            mine = self._devices()[number * width : (number + 1) * width]
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(mine)
        return Host(
            endpoint.identity.name,
            endpoint.engine_arguments(),
            environment=environment,
            python=endpoint.python,
            log=self.log_file,
        )
