"""``python -m lpt_core.schemas [DIRECTORY]``: write the published JSON Schema files."""

from __future__ import annotations

import argparse
from pathlib import Path

from lpt_core.schemas import schema_files


def main() -> None:
    """Write the files; a directory that cannot be written ends with status 2 and a message."""
    parser = argparse.ArgumentParser(prog="python -m lpt_core.schemas", description=__doc__)
    parser.add_argument("directory", nargs="?", type=Path, default=Path(__file__).parent)
    directory: Path = parser.parse_args().directory
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in schema_files().items():
            (directory / name).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        parser.error(f"{directory} cannot be written: {error}")


if __name__ == "__main__":
    main()
