"""Every Python block of the documentation runs.

A block that begins with three backticks and ``python`` is run in a namespace and a directory of its own, in
the order of the page; one marked ``python no-run``, or with another language, is not.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("README.md"), *ROOT.glob("packages/*/README.md"), *ROOT.glob("docs/**/*.md")])
BLOCK = re.compile(r"^```python[ \t]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
BLOCKS = [
    pytest.param(
        page,
        match,
        id=f"{page.relative_to(ROOT)}:{page.read_text('utf-8')[: match.start()].count(chr(10)) + 1}",
    )
    for page in PAGES
    for match in BLOCK.finditer(page.read_text(encoding="utf-8"))
]


def test_there_are_blocks_to_run() -> None:
    assert any("lpt-core/README.md" in str(block.id) for block in BLOCKS)


@pytest.mark.parametrize(("page", "block"), BLOCKS)
def test_a_block_of_the_documentation_runs(
    page: Path, block: re.Match[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line = block.string.count("\n", 0, block.start(1))
    # Empty lines before it make a traceback name the line of the page.
    code = compile("\n" * line + block.group(1), str(page), "exec")
    exec(code, {"__name__": "__main__"})
