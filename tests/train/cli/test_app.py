"""The command line: instant help, sentences instead of tracebacks, the whole way from rows to a model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lpt_train import cli

HEAVY = ("torch", "transformers", "trl", "peft", "datasets", "pydantic", "PIL", "rich", "yaml")


@pytest.fixture
def lpt(monkeypatch, capsys):
    """``lpt(*words)``: exit status, standard output, standard error."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["lpt-train", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return run


@pytest.fixture
def config(tmp_path: Path, tiny_model_dir: Path, tiny_rows: Path) -> Path:
    file = tmp_path / "c.yaml"
    file.write_text(
        f"model: {{name: {tiny_model_dir}, precision: float32, lora: {{rank: 2}}}}\n"
        "data: {pixels: {limit: 84}}\n"
        f"sft: {{data: {tiny_rows}/sft.jsonl, learning_rate: 1e-2, max_steps: 2, batch_size: 8,"
        " micro_batch: 4, save_every: 1, gradient_checkpointing: false}\n"
    )
    return file


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['lpt-train', '--help']\n"
        "from lpt_train.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print('loaded', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("loaded []\n")


def test_a_configuration_is_refused_before_torch_is_loaded(tmp_path) -> None:
    (tmp_path / "c.yaml").write_text("model: {name: x}\nsft: {lr: 1}\n")
    code = (
        "import sys; sys.argv = ['lpt-train', 'sft', sys.argv[1], '--out', 'x']\n"
        "from lpt_train.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: print('ended', end.code, 'torch' in sys.modules)"
    )
    line = [sys.executable, "-c", code, str(tmp_path / "c.yaml")]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert done.stdout == "ended 2 False\n"
    assert "c.yaml:2: sft.lr: there is no such field" in done.stderr


def test_train_stop_merge(lpt, config, tmp_path) -> None:
    run = tmp_path / "run"
    code, out, _ = lpt("sft", config, "--out", run)
    assert code == 0
    assert "update 2 of 2: loss" in out
    assert f"wrote {run / 'model'}: 2 updates on 24 rows" in out
    code, out, _ = lpt("sft", config, "--out", run, "--quiet")
    assert (code, out) == (0, f"wrote {run / 'model'}: 2 updates on 24 rows\n")
    code, out, _ = lpt("merge", run, "--to", tmp_path / "merged")
    assert (code, out) == (0, f"wrote {tmp_path / 'merged'}\n")
    assert (tmp_path / "merged" / "model.safetensors").is_file()
    code, _, err = lpt("merge", run, "--to", tmp_path / "merged")
    assert code == 2
    assert err.startswith("error: ")


def test_lint_counts_tokens_with_a_configuration(lpt, config, tiny_rows, tmp_path) -> None:
    code, out, _ = lpt("lint", tiny_rows / "sft.jsonl", "--config", config)
    assert "24 rows, 0 errors" in out
    assert code == 0
    short = tmp_path / "short.yaml"
    short.write_text(config.read_text().replace("data: {", "data: {max_tokens: 200, ", 1))
    code, out, _ = lpt("lint", tiny_rows / "sft.jsonl", "--config", short, "--json")
    assert code == 1
    assert json.loads(out)["errors"] > 0


def test_preview_shows_rows_and_writes_a_page(lpt, config, tiny_rows, tmp_path) -> None:
    code, out, _ = lpt("preview", tiny_rows / "sft.jsonl", "--config", config, "--count", 2)
    assert code == 0
    assert "<think>" in out
    code, out, _ = lpt(
        "preview", tiny_rows / "pairs.jsonl", "--config", config, "--html", tmp_path / "p.html"
    )
    assert code == 0
    assert "<html" in (tmp_path / "p.html").read_text()
    code, _, err = lpt("preview", tiny_rows / "sft.jsonl", "--config", config, "--line", 99)
    assert code == 1
    assert "no row on line 99" in err


def test_estimate_speaks_to_people_and_to_machines(lpt, config) -> None:
    code, out, _ = lpt("estimate", config, "--memory", 24)
    assert code == 0
    assert "fits into 24 GiB" in out
    code, out, _ = lpt("estimate", config, "--json")
    assert json.loads(out)["parameters"]["adapters"] > 0


def test_a_recipe_is_imported_and_shown(lpt, tmp_path) -> None:
    (tmp_path / "lf.yaml").write_text("model_name_or_path: x/y\nstage: dpo\nfinetuning_type: full\nodd: 1\n")
    code, out, _ = lpt("import-recipe", tmp_path / "lf.yaml", "--to", tmp_path / "ours.yaml")
    assert code == 0
    assert "ignored  line 4: odd" in out
    assert (tmp_path / "ours.yaml").is_file()
    code, out, err = lpt("import-recipe", tmp_path / "lf.yaml")
    assert out == (tmp_path / "ours.yaml").read_text()
    assert "ignored  line 4: odd" in err
    assert "prefix_loss: full" in lpt("show-recipe", "released")[1]
    assert lpt("show-recipe", "no")[0] == 2


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("sft", "none.yaml", "--out", "x"), 2, "none.yaml cannot be read"),
        (("lint", "none.jsonl"), 1, "none.jsonl cannot be read"),
        (("merge", "none", "--to", "x"), 2, "holds no adapters"),
        (("import-recipe", "none.yaml"), 2, "cannot be read"),
        (("estimate", "none.yaml"), 2, "cannot be read"),
        (("launch", "no", "sft", "c.yaml"), 2, "there is no preset 'no'"),
        (("launch", "cpu", "lint", "x"), 2, "needs a command that trains"),
        (("launch", "cpu"), 2, "needs a command that trains"),
        (("sft",), 2, "Missing argument"),
        (("nothing",), 2, "No such command"),
    ],
)
def test_bad_input_ends_in_a_sentence(words, code, said, lpt, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    status, _, err = lpt(*words)
    assert status == code
    assert said in err
    assert "Traceback" not in err


def test_presets_are_accelerates(lpt) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    from lpt_train.cli.launching import launch_line, preset_names, preset_path

    assert preset_names() == ["a40x4-zero3", "cpu", "gpu", "h100x8-fsdp2"]
    processes = {name: load_config_from_file(str(preset_path(name))).num_processes for name in preset_names()}
    assert processes == {"a40x4-zero3": 4, "cpu": 2, "gpu": 1, "h100x8-fsdp2": 8}
    assert "--nproc_per_node=2" in launch_line("cpu", ["sft", "c.yaml"])
    line = launch_line("gpu", ["sft", "c.yaml", "--out", "x"])
    assert line[-6:] == ["-m", "lpt_train", "sft", "c.yaml", "--out", "x"]


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


@pytest.mark.slow
def test_a_run_that_was_killed_ends_as_one_that_was_not(lpt, config, tmp_path) -> None:
    config.write_text(config.read_text().replace("max_steps: 2", "max_steps: 4"))
    line = [sys.executable, "-m", "lpt_train", "sft", str(config), "--out", str(tmp_path / "killed")]
    with subprocess.Popen(line, env=environment(), stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for said in child.stdout:
            if said.startswith("update 3 of 4"):
                child.kill()
    assert child.returncode == -9
    code, out, _ = lpt("sft", config, "--out", tmp_path / "killed")
    assert code == 0
    assert "going on from update " in out
    assert lpt("sft", config, "--out", tmp_path / "whole", "--quiet")[0] == 0
    weights = [tmp_path / run / "model" / "adapter_model.safetensors" for run in ("killed", "whole")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
