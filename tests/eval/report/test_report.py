from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lpt_core import ConfigError, ImageRef
from lpt_eval.compare import compare
from lpt_eval.folder import RunFolder
from lpt_eval.report import write_report
from lpt_eval.report.gallery import EXAMPLES
from lpt_eval.runs import load_run
from lpt_eval.summary import summarise

SIGNS = ["+", "-", "+", "x", "+", "-", "+", "t", "+", "+", "f", "+"]
LATER = ["+", "+", "+", "+", "-", "-", "+", "+", "+", "+", "-", "+"]
WEBP = b"RIFF\x00\x00\x00\x00WEBPVP8 "


class Page(HTMLParser):
    """The texts of a page's tables, by their titles, and the data of its gallery."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.tables: dict[str, list[list[str]]] = {}
        self.ids: list[str] = []
        self._rows: list[list[str]] = []
        self._in: str | None = None
        self.text = path.read_text(encoding="utf-8")
        self.data = json.loads(re.search(r'id="data">(.*?)</script>', self.text, re.S)[1])  # type: ignore[index]
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("id"):
            self.ids.append(given["id"] or "")
        if given.get("class") == "scroll":
            self._rows = self.tables.setdefault(given["aria-label"] or "", [])
        if tag == "tr":
            self._rows.append([])
        self._in = tag
        if tag in ("td", "th"):
            self._rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self._in in ("td", "th"):
            self._rows[-1][-1] += data

    def handle_endtag(self, tag: str) -> None:
        self._in = None


@pytest.fixture(scope="module")
def runs(tmp_path_factory, make_item, make_run) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    items = [make_item(str(number), category="odd" if number % 2 else "even") for number in range(12)]
    vstar = [make_item(f"v{number}", benchmark="vstar", category="ab"[number % 2]) for number in range(12)]
    return [
        make_run(folder / name, {"toy": (items, signs), "vstar": (vstar, signs[::-1])})
        for name, signs in (("first", SIGNS), ("second", LATER))
    ]


@pytest.fixture(scope="module")
def page(runs, tmp_path_factory) -> Page:
    out = tmp_path_factory.mktemp("out") / "deep" / "report.html"
    assert write_report(runs, out, draws=200) == out.stat().st_size
    return Page(out)


def test_the_outcomes_in_the_page_are_those_of_the_summary(page, runs) -> None:
    header, *rows = page.tables["Outcomes"]
    by_name = {row[0]: dict(zip(header, row, strict=True)) for row in rows}
    for path in runs:
        summary = summarise(load_run(path), draws=200)
        for name, title in (("toy", "toy"), ("vstar", "V*")):
            one, row = summary.benchmarks[name], by_name[f"{path.name}: {title}"]
            assert {outcome: str(count) for outcome, count in one.outcomes.items()} == {
                outcome: row[outcome] for outcome in one.outcomes
            }
            assert row["rows"] == "12"
            assert row["accuracy"] == f"{100 * one.accuracy:.2f}"
            assert row["if answered"] == f"{100 * one.answered:.2f}"
            interval = one.metrics["micro"].interval
            assert row["95 % interval"] == f"{100 * interval.low:.1f}–{100 * interval.high:.1f}"


def test_the_differences_in_the_page_are_those_of_compare(page, runs) -> None:
    (pair,) = compare(runs, draws=200).pairs
    rows = {row[0]: row for row in page.tables["second against first"]}
    for one in pair.benchmarks:
        row = rows[f"{'V*' if one.benchmark == 'vstar' else 'toy'} ({one.metric})"]
        assert row[4] == f"{100 * one.score.difference:+.1f}"
        assert row[6:8] == [str(len(one.gained)), str(len(one.lost))]
        assert row[10] == f"{one.adjusted:.4f}"


def test_the_papers_rows_stand_beside(page) -> None:
    names = [row[0] for row in page.tables["Scores"]]
    assert names[1:3] == ["first", "second"]
    assert "LPT SFT + DPO (paper, table 1)" in names


def test_the_gallery_has_every_question_and_what_changed(page) -> None:
    examples = page.data["examples"]
    assert len(examples) == 24
    toy = [one for one in examples if one["benchmark"] == "toy"]
    changed = {one["source"]: one["changes"] for one in toy if one["changes"]}
    assert changed == {"1": ["gained-1"], "3": ["gained-1"], "4": ["lost-1"], "7": ["gained-1"]}
    assert [one["answers"][0][0]["outcome"] for one in toy[:4]] == [
        "correct",
        "wrong",
        "correct",
        "unextractable",
    ]
    assert toy[0]["answers"][0][0]["thought"] == "Hm."
    assert toy[0]["answers"][0][0]["answer"] == "<answer>(B)</answer>"


def test_signs_of_behaviours_stand_where_javascript_counts(tmp_path, say, make_item) -> None:
    text = "<think>\U0001f6aa It is blue. Let me check that again.</think> <answer>(B)</answer>"
    write_report([say(tmp_path / "run", {"toy": [(make_item(), [text])]})], tmp_path / "r.html", draws=100)
    data = Page(tmp_path / "r.html").data
    (answer,) = data["examples"][0]["answers"][0]
    ((behaviour, begin, end),) = answer["signs"]
    assert data["behaviours"][behaviour] == "verification"
    units = answer["thought"].encode("utf-16-le")
    assert "check" in units[2 * begin : 2 * end].decode("utf-16-le")


def test_ids_are_there_once_and_links_have_an_end(page) -> None:
    assert len(page.ids) == len(set(page.ids))
    assert {link for link in re.findall(r'href="#([^"]+)"', page.text)} <= set(page.ids)
    assert set(re.findall(r'aria-(?:labelledby|describedby)="([^"]+)"', page.text)) <= set(page.ids)


def test_nothing_in_the_page_comes_from_elsewhere(page) -> None:
    assert "http" not in re.sub(r'http-equiv="', "", page.text)
    assert " style=" not in page.text  # the policy would not apply it


def test_the_same_runs_give_the_same_bytes(page, runs, tmp_path) -> None:
    write_report(runs, tmp_path / "again.html", draws=200)
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == page.text


def test_few_examples_are_first_those_that_changed(runs, tmp_path) -> None:
    write_report(runs, tmp_path / "few.html", draws=200, examples=6)
    few = Page(tmp_path / "few.html")
    toy = [one for one in few.data["examples"] if one["benchmark"] == "toy"]
    assert len(toy) == 6
    assert sum(bool(one["changes"]) for one in toy) == 4
    assert "toy: 6 of 12 questions" in few.text


def test_runs_asked_otherwise_are_refused_or_told(tmp_path, make_item, make_run) -> None:
    items = [make_item("1"), make_item("2")]
    one = make_run(tmp_path / "one", {"toy": (items, "+-")})
    other = make_run(tmp_path / "other", {"toy": (items, "++")}, system="Otherwise.")
    with pytest.raises(ConfigError, match="not alike"):
        write_report([one, other], tmp_path / "r.html", draws=100)
    assert not (tmp_path / "r.html").exists()
    write_report([one, other], tmp_path / "r.html", draws=100, allow_unlike=True)
    assert "Not alike: other: toy: system is" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_one_run_has_no_differences_and_what_is_missing_is_told(tmp_path, make_item, make_run) -> None:
    path = make_run(tmp_path / "one", {"toy": ([make_item("1"), make_item("2")], "+ ")})
    write_report([path], tmp_path / "r.html", draws=100)
    page = Page(tmp_path / "r.html")
    assert "differences" not in page.ids
    assert "Incomplete: toy: 1 of 2 answers are not there." in page.text


def test_pictures_are_taken_from_the_folder_once_and_absent_ones_are_told(
    tmp_path, make_item, make_run
) -> None:
    def with_picture(name: str, digest: str):
        ref = ImageRef(path=f"{name}.png", sha256=digest, width=900, height=600)
        return make_item(name).model_copy(update={"image": ref})

    items = [
        with_picture("1", "a" * 64),
        with_picture("2", "a" * 64),
        with_picture("3", "b" * 64),
        make_item("4"),
    ]
    items += [with_picture("5", "c" * 64)]
    path = make_run(tmp_path / "run", {"toy": (items, "+++++")})
    folder = RunFolder(path)
    folder.images.mkdir()
    folder.picture("a" * 64).write_bytes(WEBP)
    folder.picture("c" * 64).write_bytes(b"<svg onload=alert(1)>")  # not what it says it is
    write_report([path], tmp_path / "r.html", draws=100)
    page = Page(tmp_path / "r.html")
    assert [one["picture"] for one in page.data["examples"]] == [0, 0, None, None, None]
    assert len(page.data["pictures"]) == 1
    assert "Pictures: 2 have no small copy" in page.text


def test_too_many_runs_are_refused(tmp_path) -> None:
    with pytest.raises(ConfigError, match="12 runs at most"):
        write_report([tmp_path] * 13, tmp_path / "r.html")


def test_the_command_writes_the_page_and_loads_no_framework(runs, tmp_path) -> None:
    code = (
        "import sys\n"
        "from lpt_eval.cli.app import app\n"
        f"app(['report', {str(runs[0])!r}, '--out', 'r.html', '--draws', '100'], standalone_mode=False)\n"
        "heavy = {'torch', 'lmms_eval', 'transformers', 'datasets', 'PIL', 'aiohttp'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("[]\n")
    assert done.stdout.startswith("wrote r.html (")
    assert (tmp_path / "r.html").stat().st_size > 10_000


def test_the_commands_default_is_the_functions() -> None:
    from lpt_eval.cli.app import report

    assert report.__defaults__ is not None
    assert EXAMPLES in report.__defaults__


@pytest.mark.parametrize("signs", ["ff", "tt", "  ", ""])
def test_a_run_that_answered_nothing_still_has_a_page(tmp_path, make_item, make_run, signs) -> None:
    items = [make_item(str(number)) for number in range(len(signs))]
    path = make_run(tmp_path / "run", {"toy": (items, signs)})
    write_report([path], tmp_path / "r.html", draws=100)
    page = Page(tmp_path / "r.html")
    assert {"scores", "outcomes", "examples"} <= set(page.ids)
    assert "order" not in page.ids
    assert "nan" not in page.text.lower().split("</style>")[1].split("<script")[0]


def test_runs_that_were_asked_other_benchmarks_stand_side_by_side(tmp_path, make_item, make_run) -> None:
    toy, vstar = make_item("1"), make_item("1", benchmark="vstar", category="a")
    one = make_run(tmp_path / "one", {"toy": ([toy], "+")})
    both = make_run(tmp_path / "both", {"toy": ([toy], "-"), "vstar": ([vstar], "+")})
    write_report([one, both], tmp_path / "r.html", draws=100, allow_unlike=True)
    page = Page(tmp_path / "r.html")
    answers = {example["benchmark"]: example["answers"] for example in page.data["examples"]}
    assert answers["vstar"][0] == []
    assert answers["vstar"][1][0]["outcome"] == "correct"
    assert "Not alike: both: only both has vstar" in page.text
