"""Rows of a benchmark in its own schema: from the hub, a local copy of it, or a folder of files."""

# datasets has no types; what comes out of it is typed here.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import base64
import binascii
import csv
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from lpt_core import ConfigError, DataError, EndpointError, ImageRef
from lpt_eval.images import image_ref

Row = Mapping[str, Any]
_CSV_FIELD = 2**30  # a base64 image in a table


def read_rows(where: str, split: str) -> Iterator[Row]:
    """The rows at a place, in their order.

    Args:
        where: A folder of .parquet, .jsonl, .json, .csv or .tsv files (where some have the split's name in
            theirs, these alone), a folder that ``save_to_disk`` wrote, or a dataset's id on the hub.
        split: The split of a dataset.

    Raises:
        ConfigError: There is nothing.
        DataError: A file cannot be read.
        EndpointError: The hub cannot be reached, or has no such dataset.
    """
    folder = Path(where).expanduser()
    if folder.is_dir():
        if (folder / "dataset_dict.json").exists() or (folder / "state.json").exists():
            return _dataset(_from_disk(folder), split)
        return _files(folder, split)
    if folder.is_absolute() or where.startswith((".", "~")) or where.count("/") != 1:
        raise ConfigError(f"there is no folder {where}.", "give a folder, or a dataset's id on the hub")
    return _dataset(_from_hub(where, split), split)


def cached_image(data: bytes) -> ImageRef:
    """The record of an image that came within a table, kept as a file in the cache.

    The cache is ``LPT_EVAL_CACHE``, else ``lpt-eval`` in the user's cache folder.

    Raises:
        DataError: It is no image, or cannot be written.
    """
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    root = Path(os.environ.get("LPT_EVAL_CACHE") or Path(home) / "lpt-eval").expanduser() / "images"
    path = root / hashlib.sha256(data).hexdigest()
    if not path.exists():
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            root.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
            temporary.replace(path)
        except OSError as error:
            raise DataError(f"{path} cannot be written: {error.strerror or error}.") from error
    return image_ref(path)


def image_of(value: Any, root: Path | None) -> ImageRef:
    """The image in a row: its bytes, base64 of them, or a path from the folder of the rows.

    Raises:
        DataError: There is none.
    """
    if isinstance(value, dict):
        parts = cast("dict[str, Any]", value)
        value = parts.get("bytes") or parts.get("path")
    if isinstance(value, bytes):
        return cached_image(value)
    if isinstance(value, str) and value:
        path = (root or Path()) / value
        if len(value) < 4096 and path.is_file():
            return image_ref(path.resolve())
        if "." in value or len(value) < 64:  # no base64
            raise DataError(f"there is no image {path}.")
        try:
            return cached_image(base64.b64decode(value, validate=True))
        except binascii.Error:
            raise DataError("the image is neither a path nor base64.") from None
    raise DataError("the row has no image.")


def _from_disk(folder: Path) -> Any:
    from datasets import load_from_disk

    try:
        return load_from_disk(str(folder))
    except Exception as error:  # as many kinds as reading foreign files raises
        raise DataError(f"the dataset in {folder} cannot be read: {error}.") from error


def _from_hub(name: str, split: str) -> Any:
    from datasets import load_dataset

    try:
        return load_dataset(name, split=split)
    except Exception as error:  # as above, and all that a network can do
        said = " ".join(str(error).split())[:300]
        raise EndpointError(
            f"the dataset {name} cannot be loaded: {said}.",
            "see that the hub can be reached, or give a local copy: --task NAME=FOLDER",
        ) from error


def _dataset(loaded: Any, split: str) -> Iterator[Row]:
    from datasets import DatasetDict, Image

    if isinstance(loaded, DatasetDict):
        if split not in loaded:
            raise ConfigError(f"the dataset has no split {split!r}: {', '.join(map(str, loaded))}.")
        loaded = loaded[split]
    for column, feature in loaded.features.items():
        if isinstance(feature, Image):  # the file's own bytes, not pixels that would be encoded anew
            loaded = loaded.cast_column(column, Image(decode=False))
    yield from cast("Iterable[Row]", loaded)


def _files(folder: Path, split: str) -> Iterator[Row]:
    kinds = {".parquet": _parquet, ".jsonl": _jsonl, ".json": _json, ".csv": _table, ".tsv": _table}
    found = sorted(path for path in folder.rglob("*") if path.suffix in kinds and path.is_file())
    found = [path for path in found if split in path.name] or found
    if not found:
        raise ConfigError(f"{folder} has no {', '.join(kinds)} files.")
    suffix = found[0].suffix
    for path in found:
        if path.suffix != suffix:
            raise ConfigError(f"{folder} has {suffix} and {path.suffix} files: which are the rows?")
        try:
            yield from kinds[suffix](path)
        except (OSError, ValueError, csv.Error) as error:
            raise DataError(f"{path} cannot be read: {error}.") from error


def _parquet(path: Path) -> Iterator[Row]:
    from pyarrow.parquet import ParquetFile

    file: Any = ParquetFile(path)
    for batch in file.iter_batches(batch_size=64):
        yield from batch.to_pylist()


def _jsonl(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig") as lines:
        yield from (json.loads(line) for line in lines if line.strip())


def _json(path: Path) -> Iterator[Row]:
    rows = json.loads(path.read_text(encoding="utf-8-sig"))
    if not isinstance(rows, list):
        raise ValueError("it is no list of rows")
    yield from cast("list[Row]", rows)


def _table(path: Path) -> Iterator[Row]:
    csv.field_size_limit(_CSV_FIELD)
    with path.open(encoding="utf-8-sig", newline="") as lines:
        yield from csv.DictReader(lines, delimiter="\t" if path.suffix == ".tsv" else ",")
