from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lpt_synth.config import TransformersEndpoint
from lpt_synth.engines.transformers import TransformersEngine
from lpt_synth.testing.engine_contract import EngineContract
from lpt_synth.types import Model


async def no_image(_: object) -> str:
    raise AssertionError("no image is sent")


class _OnAModel(EngineContract):
    folder: Path

    @asynccontextmanager
    async def engine(self):
        endpoint = TransformersEndpoint(engine="transformers", model=str(self.folder), batch_size=8)
        engine = TransformersEngine(endpoint, images=no_image)
        await engine.open()
        try:
            yield engine
        finally:
            await engine.close()


class TestTransformersEngineWithATextModel(_OnAModel):
    model = Model("tiny-text")

    @pytest.fixture(autouse=True)
    def _folder(self, text_model: Path) -> None:
        self.folder = text_model


class TestTransformersEngineWithAVisionModel(_OnAModel):
    model = Model("tiny-vision")

    @pytest.fixture(autouse=True)
    def _folder(self, vision_model: Path) -> None:
        self.folder = vision_model
