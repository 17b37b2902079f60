from __future__ import annotations

import json
import re
import shutil
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from lpt_core import DataError
from lpt_train.encoding import Encoder
from lpt_train.images import PixelPolicy
from lpt_train.preview import PreviewResponse, PreviewRow, html_page, preview, row_text
from lpt_train.rows import read_pairs, read_sft

HOSTILE = "</span><script>alert('x')</script> &amp; \x1b[31m \u202e [bold]red[/bold] <|im_end|>"


@pytest.fixture(scope="module")
def processor(tiny_model_dir: Path) -> Any:
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(tiny_model_dir)


@pytest.fixture(scope="module")
def encoder(processor: Any) -> Encoder:
    return Encoder(processor, pixels=PixelPolicy(limit=112))


@pytest.fixture
def hostile(tiny_rows: Path, tmp_path: Path) -> Path:
    """One row whose thought tries to break out."""
    folder = Path(shutil.copytree(tiny_rows, tmp_path / "rows"))
    row = json.loads((folder / "sft.jsonl").read_text().splitlines()[2])
    row["response"][1]["text"] = HOSTILE
    (folder / "sft.jsonl").write_text(json.dumps(row))
    return folder / "sft.jsonl"


def text(response: PreviewResponse, *bears: str) -> str:
    return "".join(span.text for span in response.spans if span.bears in bears)


def test_what_bears_loss_is_what_the_segments_say(encoder: Encoder, tiny_rows: Path) -> None:
    path = tiny_rows / "sft.jsonl"
    examples = read_sft(path)
    shown = preview(path, encoder, lines=range(1, 25))
    for row, example in zip(shown, examples, strict=True):
        (response,) = row.responses
        wanted = "".join(part.text for part in example.response if part.loss) + "<|im_end|>"
        assert text(response, "loss").endswith(wanted)
        assert len(text(response, "loss")) - len(wanted) == 2 * response.straddling
        assert text(response, "loss", "nothing").endswith(f"assistant\n{example.text}<|im_end|>")
        encoded = encoder.encode(example.prompt, example.response)
        assert response.tokens == len(encoded)
        assert response.bearing("loss") == sum(encoded.labels)


def test_the_labels_are_those_of_the_collator(
    encoder: Encoder, tiny_rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lpt_train.collate import NO_LABEL, SFTCollator

    stock = SFTCollator.__call__

    def answer_alone(self: SFTCollator, rows: Any) -> Any:
        batch = stock(self, rows)
        batch["labels"][:, :-3] = NO_LABEL
        return batch

    monkeypatch.setattr(SFTCollator, "__call__", answer_alone)
    (row,) = preview(tiny_rows / "sft.jsonl", encoder, lines=[1])
    assert row.responses[0].bearing("loss") == 3


def test_an_image_is_one_span_and_a_straddling_token_stands_alone(encoder: Encoder, tiny_rows: Path) -> None:
    path = tiny_rows / "sft.jsonl"
    for row, example in zip(preview(path, encoder, lines=range(1, 25)), read_sft(path), strict=True):
        spans = row.responses[0].spans
        assert [span.tokens for span in spans if span.region == "image"] == [
            encoder.pictures.tokens(example.image)
        ]
        assert all(span.tokens == 1 and span.text == ").\n" for span in spans if span.straddling)


def test_a_pair_shows_preference_loss_from_where_the_two_part(encoder: Encoder, tiny_rows: Path) -> None:
    path = tiny_rows / "pairs.jsonl"
    shown = preview(path, encoder, lines=range(1, 17))
    for row, pair in zip(shown, read_pairs(path), strict=True):
        chosen, rejected = row.responses
        assert (chosen.name, rejected.name) == ("chosen", "rejected")
        assert text(rejected, "loss", "both") == ""
        wanted = "".join(part.text for part in pair.chosen if part.loss) + "<|im_end|>"
        assert text(chosen, "loss", "both").endswith(wanted)
        assert text(chosen, "preference", "both") != text(rejected, "preference")
        whole = "".join(part.text for part in pair.rejected) + "<|im_end|>"
        assert whole.endswith(text(rejected, "preference"))
        # What both begin with bears no preference loss, and of the rest everything does.
        before = [text(side, "nothing", "loss") for side in row.responses]
        assert before[0] == before[1]
        if pair.kind in ("short_over_spoiled", "compact_over_long"):
            assert pair.chosen[1].text[:-2] in before[1]


def test_by_default_there_is_a_row_of_each_kind_in_the_order_of_the_file(
    encoder: Encoder, tiny_rows: Path
) -> None:
    three = preview(tiny_rows / "sft.jsonl", encoder, count=3)
    assert sorted(row.kind for row in three) == ["right_right", "short_right", "wrong_right"]
    assert [row.where.rpartition(":")[2] for row in three] == ["1", "2", "3"]
    assert len(preview(tiny_rows / "pairs.jsonl", encoder, count=5)) == 5
    with pytest.raises(DataError, match="has no row on line 99"):
        preview(tiny_rows / "sft.jsonl", encoder, lines=[1, 99])


def test_full_prefix_loss_is_shown_as_such(processor: Any, tiny_rows: Path) -> None:
    encoder = Encoder(processor, pixels=PixelPolicy(limit=112), prefix_loss="full")
    (row,) = preview(tiny_rows / "sft.jsonl", encoder, lines=[3])
    example = read_sft(tiny_rows / "sft.jsonl")[2]
    assert text(row.responses[0], "loss") == f"{example.text}<|im_end|>"


# ---- the terminal ------------------------------------------------------------------------------------


def printed(row: PreviewRow, *, colour: bool) -> str:
    import io

    from rich.console import Console

    out = io.StringIO()
    Console(file=out, force_terminal=colour, color_system="standard" if colour else None, width=120).print(
        row_text(row, colour=colour)
    )
    return out.getvalue()


def test_the_terminal_has_colours_or_brackets(encoder: Encoder, tiny_rows: Path) -> None:
    straddling = next(
        row
        for row in preview(tiny_rows / "sft.jsonl", encoder, lines=range(1, 25))
        if row.responses[0].straddling
    )
    plain = printed(straddling, colour=False)
    assert "\x1b" not in plain
    assert "[[⟨).⏎\n⟩]]" in plain
    assert re.search(r"\[image: \d+ tokens\]", plain)
    assert "[[loss]]" in plain
    assert "1 straddling" in plain
    coloured = printed(straddling, colour=True)
    assert "\x1b[1;32m" in coloured
    assert "\x1b[1;37;45m⟨).⏎" in coloured
    assert "[[" not in coloured
    assert "\x1b[2m<|im_start|>" in coloured


def test_no_text_gets_at_the_terminal(encoder: Encoder, hostile: Path) -> None:
    (row,) = preview(hostile, encoder)
    plain = printed(row, colour=False)
    assert "\x1b" not in plain
    assert "\u202e" not in plain
    assert "\\x1b[31m" in plain
    assert "[bold]red[/bold]" in plain.replace("\n", "")


# ---- HTML --------------------------------------------------------------------------------------------


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag == "span":
            self.open.append(dict(attrs).get("class") or "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "span":
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.append((self.open[-1], data))


def test_the_page_needs_nothing_else_and_escapes_everything(encoder: Encoder, hostile: Path) -> None:
    page = html_page(preview(hostile, encoder), "<b>rows</b>")
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    assert not reader.tags & {"script", "link", "b", "iframe"}
    assert all(address.startswith("data:image/png;base64,") for address in reader.addresses)
    assert len(reader.addresses) == 1
    thought = "".join(data for kind, data in reader.texts if kind == "nothing")
    assert "</span><script>alert('x')</script> &amp; \\x1b[31m \\u202e [bold]red[/bold] <|im_end|>" in thought
    assert "\x1b" not in page
    assert "&lt;b&gt;rows&lt;/b&gt;" in page


def test_the_page_says_what_bears_which_loss(encoder: Encoder, tiny_rows: Path) -> None:
    rows = preview(tiny_rows / "sft.jsonl", encoder, lines=[3]) + preview(
        tiny_rows / "pairs.jsonl", encoder, lines=[2]
    )
    page = html_page(rows, "rows")
    for name in ("loss", "preference", "both", "nothing"):
        assert f'<span class="{name}" title=' in page
    assert page.count("<article>") == 2
    assert unescape(page).count("[image: ") == 3
    assert html_page(rows, "rows") == page


def test_an_image_gone_since_is_told_in_the_page(encoder: Encoder, tiny_rows: Path) -> None:
    (row,) = preview(tiny_rows / "sft.jsonl", encoder, lines=[1])
    gone = PreviewRow(
        row.where, row.kind, row.image.model_copy(update={"path": "/gone/<x>.png"}), row.responses
    )
    assert "the image /gone/&lt;x&gt;.png is not there" in html_page([gone], "rows")
