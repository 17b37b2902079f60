"""A run's directory: what lies where, who may write, which configuration made it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lpt_core import ConfigError, StoreError
from lpt_synth.config import RunConfig
from lpt_synth.settings import dump_config, load_config
from lpt_synth.store import Store


@dataclass(frozen=True, slots=True)
class RunDir:
    """The directory of a run.

    ``config.yaml`` is the last configuration used, whole, with absolute paths; ``store.sqlite`` every
    outcome; ``images/`` what a source held inside its files; ``sets/`` the training sets.
    """

    path: Path

    @property
    def store_path(self) -> Path:
        """The store's file."""
        return self.path / "store.sqlite"

    @property
    def config_path(self) -> Path:
        """The copy of the configuration."""
        return self.path / "config.yaml"

    @property
    def images(self) -> Path:
        """Images that a source held inside its files."""
        return self.path / "images"

    @property
    def sets(self) -> Path:
        """The training sets as core records."""
        return self.path / "sets"

    def create(self) -> None:
        """Make the directory.

        Raises:
            StoreError: The directory is something else's, or cannot be written.
        """
        try:
            if self.path.exists() and not self.path.is_dir():
                raise StoreError(f"{self.path} is a file.", "choose another --out")
            others = (p for p in self.path.iterdir() if p.name != ".lock") if self.path.is_dir() else ()
            if any(others) and not self.config_path.exists():
                raise StoreError(
                    f"{self.path} has files in it and is no run directory.", "choose a new or an empty one"
                )
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"{self.path} cannot be written: {error.strerror or error}.") from error

    def keep(self, config: RunConfig) -> None:
        """Put a copy of the configuration, whole, into the directory.

        Raises:
            StoreError: It cannot be written.
        """
        try:
            write_atomically(self.config_path, dump_config(config))
        except OSError as error:
            raise StoreError(f"{self.path} cannot be written: {error.strerror or error}.") from error

    def config(self) -> RunConfig:
        """The configuration that the directory was last run with.

        Raises:
            ConfigError: There is none, or it is broken.
        """
        if not self.config_path.is_file():
            raise ConfigError(
                f"{self.path} is no run directory: it has no config.yaml.",
                "`lpt-synth run CONFIG.yaml --out RUN_DIR` makes one",
            )
        return load_config(self.config_path)

    def open_store(self, *, create: bool = False) -> Store:
        """The store of the run."""
        return Store.open(self.store_path, create=create)

    @contextmanager
    def locked(self) -> Generator[None]:
        """Hold the run for writing; the lock goes with the process, however that ends.

        Raises:
            StoreError: Another process runs here.
        """
        try:
            handle = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StoreError(f"{self.path} cannot be written: {error.strerror or error}.") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            raise StoreError(
                f"another lpt-synth is running in {self.path}.", "wait for it, or use another directory"
            ) from None
        try:
            yield
        finally:
            os.close(handle)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    temporary.replace(path)
