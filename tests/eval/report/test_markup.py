from __future__ import annotations

import json
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from lpt_eval.report.markup import clipped, element, joined, json_block

HOSTILE = "</script><img src=x onerror=alert(1)><!--<script>&lt;\u2028'\""


class Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


@given(st.text(alphabet=st.characters(exclude_characters="\r\0", exclude_categories=["Cs"])))
def test_any_text_stays_text_in_an_element_and_in_an_attribute(text) -> None:
    parser = Texts()
    parser.feed(element("p", text, title=text))
    parser.close()
    assert parser.tags == ["p"]
    assert parser.text == text
    assert parser.attributes == [("title", text)]


@given(
    st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_data_in_a_script_comes_back_and_cannot_end_it(value) -> None:
    block = json_block("data", value)
    inside = block.removeprefix('<script type="application/json" id="data">').removesuffix("</script>")
    assert "<" not in inside
    assert ">" not in inside
    assert json.loads(inside) == value


def test_markup_goes_in_as_it_is_and_nothing_is_left_out() -> None:
    inner = joined(element("b", HOSTILE), None, " & ")
    told = HOSTILE.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert element("p", inner, hidden=True, id=None, class_="x", data_of=1.5) == (
        f'<p hidden class="x" data-of="1.5"><b>{told}</b> &amp; </p>'
    )


def test_a_long_text_is_clipped_on_one_line() -> None:
    assert clipped("a\n b  c", 5) == "a b c"
    assert clipped("abcdefgh", 5) == "abcd…"
