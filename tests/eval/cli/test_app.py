from __future__ import annotations

import subprocess
import sys

import pytest

_LOADED = """
import sys
sys.argv = ["lpt-eval", *{words!r}]
from lpt_eval.cli import main
try:
    main()
except SystemExit as end:
    code = end.code
heavy = sorted({{"torch", "transformers", "lmms_eval", "datasets", "numpy"}} & sys.modules.keys())
sys.stderr.write(f"{{code}} {{heavy}}")
"""


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["run", "--help"], ["tasks"]])
def test_what_tells_about_the_program_is_light(words: list[str]) -> None:
    code = _LOADED.format(words=words)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "0 []"
    assert done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--task", "nothing"], "there is no task 'nothing'"),
        (["--task", "mcq_file"], "needs to know where"),
        (["--task", "mcq_file=nowhere"], "has no mcqs.jsonl"),
    ],
)
def test_misuse_is_a_sentence(monkeypatch, capsys, tmp_path, words: list[str], message: str) -> None:
    from lpt_eval.cli import main

    monkeypatch.setattr("sys.argv", ["lpt-eval", "run", "model", "--out", str(tmp_path / "run"), *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
