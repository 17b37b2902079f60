from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager

import pytest

from lpt_synth.testing.engine_contract import EngineContract


class TestOpenAIEngine(EngineContract):
    @pytest.fixture(autouse=True)
    def _serving(self, table):
        """A server in a loop and thread of its own."""
        server = table.Server(lambda body, _: table.say(*[f" number {i}" for i in range(body.get("n", 1))]))
        up, stop = threading.Event(), threading.Event()

        async def serve():
            async with server.running():
                up.set()
                await asyncio.to_thread(stop.wait)

        thread = threading.Thread(target=asyncio.run, args=(serve(),))
        thread.start()
        assert up.wait(10)
        self.open = lambda: table.engine(server)
        yield
        stop.set()
        thread.join(10)

    @asynccontextmanager
    async def engine(self):
        async with self.open() as engine:
            yield engine
