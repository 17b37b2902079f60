from __future__ import annotations

import base64
import hashlib
import html as html_module
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lpt_core import ConfigError, StoreError
from lpt_synth.config import RunConfig
from lpt_synth.jobs import run
from lpt_synth.report import ReportFacts, gather, report, write_report
from lpt_synth.rundir import RunDir
from lpt_synth.status import status
from lpt_synth.types import CaptionTree

Trees = Callable[..., list[CaptionTree]]


@pytest.fixture
def done(a_config: Callable[..., RunConfig], tmp_path: Path) -> RunDir:
    out = tmp_path / "run"
    assert run(a_config(), out).result.done
    return RunDir(out)


def test_its_numbers_are_those_of_status(done: RunDir, unpack: Callable[[str, str], Any]) -> None:
    made, known = report(done), status(done)
    page = made.to.read_text(encoding="utf-8")
    index = unpack(page, "index")
    parents = index["traces"]["parent"]
    counts = {step["step"]: step["count"] for step in known["funnel"]}
    assert parents.count(-1) == counts["think.answered"]
    assert len(parents) - parents.count(-1) == counts["expand.answered"]
    assert sum(1 for use in index["traces"]["use"] if use) == known["sft"] > 0
    assert len(index["pairs"]["kind"]) == made.pairs == known["pairs"] > 0
    assert len(index["questions"]["text"]) == known["mcqs"]
    for step in known["funnel"]:
        row = f'<th scope="row">{html_module.escape(step["label"])}</th><td class="n">{step["count"]:,}</td>'
        assert row in page
    for number in (known["output_tokens"], known["requests_sent"]):
        assert f'<td class="n">{number:,}</td>' in page


def test_the_same_run_makes_the_same_bytes_and_is_not_changed(done: RunDir, tmp_path: Path) -> None:
    before = status(done)
    first = report(done, tmp_path / "a.html").to.read_bytes()
    assert report(done, tmp_path / "b.html").to.read_bytes() == first
    assert status(done) == before


def test_one_script_runs_and_the_policy_names_it_and_no_host(done: RunDir) -> None:
    page = report(done).to.read_text(encoding="utf-8")
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    for kind, content in (("script-src", script), ("style-src", style)):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}'" in html_module.unescape(policy)
    assert html_module.unescape(policy).startswith("default-src 'none'")
    assert re.findall(r"https?://", page) == []
    assert "127.0.0.1" not in page
    assert str(done.path.parent) not in page


def test_sets_older_than_the_run_are_told_and_left_out(
    done: RunDir, unpack: Callable[[str, str], Any]
) -> None:
    manifest = done.sets / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"made_from": "', '"made_from": "old'))
    page = report(done).to.read_text(encoding="utf-8")
    assert "the sets are older than the run" in page
    assert unpack(page, "index")["pairs"]["kind"] == []


def test_what_cannot_be_written_or_is_no_run_is_said(done: RunDir, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        report(done, tmp_path / "nowhere" / "report.html")
    with pytest.raises(ConfigError, match="no run directory"):
        report(RunDir(tmp_path / "nothing"))


def test_text_of_models_and_people_reaches_the_markup_escaped(make_trees: Trees, tmp_path: Path) -> None:
    hostile = '</script><img src=x onerror="alert(1)">'
    trees = make_trees()
    for tree in trees:
        tree.mcqs[0].mcq = tree.mcqs[0].mcq.model_copy(update={"kind": hostile, "question": hostile})
        tree.tally[f"mcq.rejected.{hostile}"] = 1
    facts = ReportFacts(
        name=hostile,
        funnel=[("x", hostile, 1)],
        again=[(hostile, hostile, 1)],
        models=[(hostile, hostile, hostile)],
        config=hostile,
        problems=[hostile],
    )
    to = tmp_path / "report.html"
    assert write_report(to, facts, gather(trees)) == to.stat().st_size
    page = to.read_text(encoding="utf-8")
    assert hostile not in page
    assert "<img" not in page.split("<script", 1)[0]
    assert html_module.escape(hostile) in page


def test_a_run_without_anything_has_a_report(tmp_path: Path) -> None:
    to = tmp_path / "report.html"
    write_report(to, ReportFacts(name="empty", complete=False, incomplete=3), gather([]))
    page = to.read_text(encoding="utf-8")
    assert "3 captions are not finished" in page
    assert "no training sets yet" in page
