"""A model's folder: whether it holds one, and the digest that says which.

The digest names what the folder holds, not where it lies: the same files elsewhere have the same, other
weights under the same path another. It covers every file that loading reads. Files of up to 256 MiB count
whole. Of a larger safetensors file count its size, its header (names, types and shapes of all tensors)
and, of each tensor, three pieces of 4 KiB at its beginning, middle and end: training and merging of adapters
change tensors throughout, so that one that was changed is seen, and 16 GB are named within a second. Of
other large files count the size and 256 pieces of 64 KiB at even distances.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, cast

from lpt_core import ConfigError

_READ = {".json", ".jinja", ".txt", ".model", ".tiktoken", ".safetensors", ".bin", ".pt", ".pth"}
_WEIGHTS = {".safetensors", ".bin", ".pt", ".pth"}
_NOT_READ = ("optimizer", "scheduler", "rng_state", "scaler", "training_args", "trainer_state")
_WHOLE = 256 * 2**20
_TENSOR_PIECE, _PIECE, _PIECES = 4096, 65_536, 256
_HEADER_MOST = 100 * 2**20  # the format's own bound


def as_folder(model: str) -> Path | None:
    """The folder that a model's name means; None where it is a hub id."""
    path = Path(model).expanduser()
    is_path = path.is_absolute() or model.startswith((".", "~")) or path.is_dir()
    return path if is_path else None


def missing_in(folder: Path) -> str | None:
    """What keeps a folder from being a model's, as a sentence with what to do; None where nothing does."""
    if not folder.is_dir():
        return f"there is no folder {folder}; give one that save_pretrained wrote, or a hub id"
    if not (folder / "config.json").is_file():
        return f"{folder} has no config.json; give a folder that save_pretrained wrote, or a hub id"
    if not any(file.suffix in _WEIGHTS for file in _files(folder)):
        return f"{folder} has no weights (*.safetensors); an adapter must be merged into its model first"
    return None


def folder_digest(folder: Path) -> str:
    """32 hexadecimal digits that name what a model's folder holds. Read once in a process.

    Raises:
        ConfigError: There is no model in it, or it cannot be read.
    """
    if problem := missing_in(folder):
        raise ConfigError(f"a model is missing: {problem}.")
    try:
        stats = [(file, file.stat()) for file in _files(folder)]
        return _digest(tuple((str(file), stat.st_size, stat.st_mtime_ns) for file, stat in stats))
    except OSError as error:
        raise ConfigError(f"the model in {folder} cannot be read: {error.strerror or error}.") from error


def _files(folder: Path) -> list[Path]:
    """The files that loading reads, by name."""
    found = [file for file in folder.iterdir() if file.suffix in _READ and file.is_file()]
    return sorted(file for file in found if not file.name.startswith((".", *_NOT_READ)))


@lru_cache(maxsize=16)
def _digest(files: tuple[tuple[str, int, int], ...]) -> str:
    """Of files with their sizes and times; these only tell whether one has changed since."""
    digest = hashlib.blake2b(digest_size=16, person=b"lpt-model-1")
    for path, size, _ in files:
        digest.update(f"{Path(path).name}\0{size}\0".encode())
        with Path(path).open("rb") as file:
            if size <= _WHOLE:
                digest.update(hashlib.file_digest(file, "blake2b").digest())
                continue
            for at, length in _pieces(file, Path(path), size):
                file.seek(at)
                digest.update(file.read(length))
    return digest.hexdigest()


def _pieces(file: BinaryIO, path: Path, size: int) -> Iterator[tuple[int, int]]:
    """Where to read in a file too large to be read whole: (offset, length)."""
    spans = _tensors(file) if path.suffix == ".safetensors" else None
    if spans is None:
        yield from ((size * piece // _PIECES, _PIECE) for piece in range(_PIECES))
        yield max(0, size - _PIECE), _PIECE
        return
    start, tensors = spans
    yield 0, start
    for begin, end in tensors:
        middle, last = (begin + end) // 2, max(begin, end - _TENSOR_PIECE)
        yield from ((start + at, min(_TENSOR_PIECE, end - at)) for at in (begin, middle, last))


def _tensors(file: BinaryIO) -> tuple[int, list[tuple[int, int]]] | None:
    """Where a safetensors file's data begin, and where in these each tensor lies; None if it is broken."""
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= _HEADER_MOST:
        return None
    try:
        header = cast("dict[str, dict[str, Any]]", json.loads(file.read(length)))
        spans = [entry["data_offsets"] for name, entry in sorted(header.items()) if name != "__metadata__"]
        return 8 + length, [(int(begin), int(end)) for begin, end in spans]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
