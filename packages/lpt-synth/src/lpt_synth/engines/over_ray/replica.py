"""A replica: an engine in an actor, on whichever machine Ray has put it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from lpt_core import EndpointError, ImageRef, LptError
from lpt_synth import __version__
from lpt_synth.config import Endpoint
from lpt_synth.endpoint_base import FolderEndpoint
from lpt_synth.model_folder import folder_digest
from lpt_synth.types import Engine, Reply, Request


class Make(Protocol):
    """Makes the engine of an endpoint; a function that can be named from any process."""

    def __call__(
        self,
        endpoint: Endpoint,
        *,
        images: Callable[[ImageRef], Awaitable[str]],
        notice: Callable[[str], None],
    ) -> Engine:
        """The engine, closed."""
        ...


Came = tuple[Reply | LptError, Sequence[str]]
"""What came of a request, and what a person should know of the replica since the last time."""


class Replica:
    """Runs in an actor. What it is told and what it tells is pickled.

    Images come along with the requests, from the run's machine: no other has to have them.

    Args:
        make: Makes the engine.
        endpoint: Of the engine.
    """

    def __init__(self, make: Make, endpoint: Endpoint) -> None:
        self._make = make
        self._endpoint = endpoint
        self._engine: Engine | None = None
        self._notices: list[str] = []
        self._images: dict[str, tuple[str, int]] = {}

    async def open(self, version: str) -> LptError | None:
        """Get the engine ready; gives the reason why it never will be.

        Args:
            version: Of lpt-synth, where the run is.
        """
        if version != __version__:
            return EndpointError(
                f"a node of the Ray cluster has lpt-synth {__version__}, the run {version}.",
                "install the same version on all nodes",
            )
        try:
            self._same_model()
            self._engine = self._make(self._endpoint, images=self._image, notice=self._notices.append)
            await self._engine.open()
        except LptError as error:
            return error
        return None

    async def complete(self, request: Request, samples: Sequence[int], images: Mapping[str, str]) -> Came:
        """Answer; see ``Engine.complete``.

        Args:
            request: What is asked.
            samples: Which of its samples.
            images: Its images as data URLs, by the digest of their files.
        """
        assert self._engine is not None
        for digest, url in images.items():
            self._images[digest] = (url, self._images.get(digest, ("", 0))[1] + 1)
        try:
            came = await self._engine.complete(request, samples)
        except LptError as error:
            came = error
        finally:
            self._forget(images)
        told, self._notices[:] = tuple(self._notices), ()
        return came, told

    async def close(self) -> None:
        """Let go of everything."""
        if self._engine is not None:
            await self._engine.close()

    async def _image(self, image: ImageRef) -> str:
        return self._images[image.sha256][0]

    def _forget(self, images: Mapping[str, str]) -> None:
        for digest in images:
            url, users = self._images[digest]
            if users > 1:
                self._images[digest] = (url, users - 1)
            else:
                del self._images[digest]

    def _same_model(self) -> None:
        """See that the model's folder holds here what it holds where the run is.

        Raises:
            ConfigError: There is no such folder.
            EndpointError: It holds another model.
        """
        end = self._endpoint
        if not isinstance(end, FolderEndpoint) or end.folder is None or end.revision is None:
            return
        digest = folder_digest(end.folder)
        if digest != end.revision:
            raise EndpointError(
                f"{end.folder} holds another model on a node of the Ray cluster than where the run is "
                f"(digest {digest}, not {end.revision}).",
                "put the same files there, or use a file system that all nodes share",
            )
