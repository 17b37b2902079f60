"""A model's folder: whether it holds one, and the digest that says which."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from lpt_core import CHECKPOINT_FILE, CheckpointRecord, ConfigError
from lpt_eval.records import ModelIdentity, ModelKind

_READ = {".json", ".jinja", ".txt", ".model", ".tiktoken", ".safetensors", ".bin", ".pt", ".pth"}
_WEIGHTS = {".safetensors", ".bin", ".pt", ".pth"}
# What training leaves beside a model, and what tells about it: loading reads none of it.
_NOT_READ = ("optimizer", "scheduler", "rng_state", "scaler", "training", "trainer_state", CHECKPOINT_FILE)


def as_folder(model: str) -> Path | None:
    """The folder that a model's name means; None where it is a hub id."""
    path = Path(model).expanduser()
    is_path = path.is_absolute() or model.startswith((".", "~")) or path.is_dir()
    return path if is_path else None


def checked(folder: Path) -> None:
    """See that a folder holds a whole model.

    Raises:
        ConfigError: It does not.
    """
    remedy = "give a folder that save_pretrained wrote, or a hub id"
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}.", remedy)
    if (folder / "adapter_config.json").is_file():
        raise ConfigError(
            f"{folder} holds adapters alone.", "merge them into their model first: lpt-train merge"
        )
    if not (folder / "config.json").is_file():
        raise ConfigError(f"{folder} has no config.json.", remedy)
    if not any(file.suffix in _WEIGHTS for file in _files(folder)):
        raise ConfigError(f"{folder} has no weights (*.safetensors).", remedy)


def identity_of(folder: Path, kind: ModelKind) -> ModelIdentity:
    """Which model a folder holds. Not by its path: the same weights elsewhere are the same model.

    Raises:
        LptError: It cannot be read.
    """
    trained = (folder / CHECKPOINT_FILE).is_file()
    return ModelIdentity(
        kind=kind,
        name=folder.resolve().name,
        weights=folder_digest(folder),
        checkpoint=CheckpointRecord.read(folder) if trained else None,
    )


def folder_digest(folder: Path) -> str:
    """SHA-256 of what loading the folder reads: names and all bytes, not where it lies.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        stats = [(file, file.stat()) for file in _files(folder)]
        return _digest(tuple((str(file), stat.st_size, stat.st_mtime_ns) for file, stat in stats))
    except OSError as error:
        raise ConfigError(f"the model in {folder} cannot be read: {error.strerror or error}.") from error


def _files(folder: Path) -> list[Path]:
    found = [file for file in folder.iterdir() if file.suffix in _READ and file.is_file()]
    return sorted(file for file in found if not file.name.startswith((".", *_NOT_READ)))


@lru_cache(maxsize=8)
def _digest(files: tuple[tuple[str, int, int], ...]) -> str:
    """Of files with their sizes and times, which only tell whether one has changed since."""
    digest = hashlib.sha256()
    for path, size, _ in files:
        digest.update(f"{Path(path).name}\0{size}\0".encode())
        with Path(path).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
