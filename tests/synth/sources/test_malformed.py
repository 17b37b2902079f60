"""A table of malformed inputs: each has its named problem, and no row beside it is lost."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lpt_core import DataError

GOOD = b'{"id": "good", "caption": "fine", "image": "good.jpg"}\n'


def row(caption: str = '"x"', image: str = '"x.jpg"', name: str = '"x"') -> bytes:
    return f'{{"id": {name}, "caption": {caption}, "image": {image}}}\n'.encode()


# (what it is, the bad line, kind of the problem, a part of its message)
JSON_ROWS = [
    ("half a line", b'{"id": "x", "caption": "a sent', "row_unreadable", "not JSON"),
    ("two objects", b'{"id": 1} {"id": 2}\n', "row_unreadable", "not JSON"),
    ("single quotes", b"{'id': 'x'}\n", "row_unreadable", "not JSON"),
    ("words", b"a caption\n", "row_unreadable", "not JSON"),
    ("a list", b'["x", "y"]\n', "row_unreadable", "a list, not an object"),
    ("a text", b'"caption"\n', "row_unreadable", "a text, not an object"),
    ("null", b"null\n", "row_unreadable", "null, not an object"),
    ("a number of 5000 digits", b"1" * 5000 + b"\n", "row_unreadable", "not JSON"),
    ("nested 100,000 deep", b"[" * 100_000 + b"\n", "row_unreadable", "not JSON"),
    ("null bytes", b"\0\0\0\0\n", "row_unreadable", "not JSON"),
    ("Latin-1", row('"caf\xe9"').decode().encode("latin-1"), "row_not_utf8", "byte 28 of the line"),
    ("half a surrogate pair", row('"\\ud83d"'), "row_not_utf8", "'caption'"),
    ("an empty object", b"{}\n", "column_missing", "no column 'id'; the columns here are: none"),
    (
        "another name",
        b'{"id": "x", "text": "a", "image": "b"}\n',
        "column_missing",
        "here are: 'id', 'text', 'image'",
    ),
    ("no image column", b'{"id": "x", "caption": "a"}\n', "column_missing", "no column 'image'"),
    ("an empty caption", row('""'), "caption_empty", "'caption'"),
    ("a caption of spaces", row('" \\n\\u00a0\\t"'), "caption_empty", "'caption'"),
    ("a caption that is null", row("null"), "caption_empty", "'caption'"),
    ("a caption that is a number", row("12.5"), "value_not_text", "holds a number, not a text"),
    ("a caption that is NaN", row("NaN"), "value_not_text", "holds a number, not a text"),
    ("a caption that is a list", row('["a", "b"]'), "value_not_text", "holds a list"),
    ("an empty id", row(name='""'), "id_empty", "'id'"),
    ("an id that is null", row(name="null"), "id_empty", "'id'"),
    ("an id that is true", row(name="true"), "value_not_text", "holds true or false"),
    ("an id that was there", row(name='"good"'), "id_duplicate", "'good' stands at"),
    ("no image", row(image='""'), "image_unnamed", "'image'"),
    ("an image that is an object", row(image='{"url": 1}'), "image_unnamed", "'image'"),
    ("an image that is a list", row(image="[]"), "value_not_text", "holds a list"),
    ("a null byte in a path", row(image='"a\\u0000b"'), "image_unnamed", "'image'"),
    ("a URL", row(image='"http://localhost/a.jpg"'), "image_remote", "is a URL"),
    ("an image in the text", row(image='"data:image/png;base64,AAAA"'), "image_remote", "is a URL"),
]


@pytest.mark.parametrize(
    ("line", "kind", "message"), [case[1:] for case in JSON_ROWS], ids=[c[0] for c in JSON_ROWS]
)
def test_json_lines(read, file, line, kind, message):
    after = row(name='"after"')
    path = file("c.jsonl", GOOD + b"\n" + line + (after if line.endswith(b"\n") else b""))
    rows, problems = read(kind="table", captions=path)
    assert [r.source_id for r in rows] == ["good", "after"][: 1 + line.endswith(b"\n")]
    assert [(p.kind, p.where) for p in problems] == [(kind, f"{path}:3")]
    assert message in problems[0].message
    assert f"{path}:3" in str(problems[0])
    assert "\n" not in str(problems[0])


# (what it is, the bad lines, kind of the problem, a part of its message)
CSV_ROWS = [
    ("too few values", b"x,a caption\n", "row_unreadable", "2 values for 3 columns"),
    ("a comma without quotes", b"x,a sign, red,x.jpg\n", "row_unreadable", "4 values for 3 columns"),
    ("a quote within a value", b'x,"a "sign"",x.jpg\n', "row_unreadable", "expected after"),
    ("an empty caption", b"x,,x.jpg\n", "caption_empty", "'caption'"),
    ("an empty id", b",a,x.jpg\n", "id_empty", "'id'"),
    ("Latin-1", b"x,caf\xe9,x.jpg\n", "row_not_utf8", "'caption'"),
    ("an image's name in Latin-1", b"x,a,caf\xe9.jpg\n", "row_not_utf8", "'image'"),
    ("a line break outside quotes", b"x,a\nb,x.jpg\n", "row_unreadable", "2 values for 3 columns"),
]


@pytest.mark.parametrize(
    ("line", "kind", "message"), [case[1:] for case in CSV_ROWS], ids=[c[0] for c in CSV_ROWS]
)
def test_csv(read, file, line, kind, message):
    path = file("c.csv", b"id,caption,image\ngood,fine,good.jpg\n" + line + b"after,fine,x.jpg\n")
    rows, problems = read(kind="table", captions=path)
    assert [r.source_id for r in rows] == ["good", "after"]
    assert (problems[0].kind, problems[0].where) == (kind, f"{path}:3")
    assert message in problems[0].message


def test_a_quote_that_is_never_closed_tells_which_lines_are_lost(read, file):
    lost = b"".join(b"r%d,caption,x.jpg\n" % n for n in range(5))
    path = file("c.csv", b'id,caption,image\ngood,fine,good.jpg\nx,"open,x.jpg\n' + lost)
    rows, problems = read(kind="table", captions=path)
    assert [r.source_id for r in rows] == ["good"]
    assert [(p.kind, p.where) for p in problems] == [("row_unreadable", f"{path}:3")]
    assert "in lines 3 to 8, which are all lost" in problems[0].message


# (what it is, the file's name, what it holds, more of the configuration, a part of the message)
FILES = [
    ("nothing", "c.jsonl", b"", {}, "c.jsonl is empty"),
    ("empty lines", "c.jsonl", b"\n \n\n", {}, "c.jsonl is empty"),
    ("an empty CSV", "c.csv", b"", {}, "c.csv is empty"),
    ("headings alone", "c.csv", b"id,caption,image\n", {}, "c.csv is empty: it has no rows"),
    (
        "other headings",
        "c.csv",
        b"name,words\nx,y\n",
        {},
        r"no column 'id'; its columns are: 'name', 'words'\.",
    ),
    ("semicolons", "c.csv", b"id;caption;image\nx;y;z\n", {}, "save it with commas"),
    ("a heading twice", "c.csv", b"id,caption,caption,image\na,b,c,d\n", {}, "several columns 'caption'"),
    (
        "headings that do not close",
        "c.csv",
        b'id,"caption,image\na,b,c\n',
        {},
        "c.csv:1: the line of headings",
    ),
    ("UTF-16", "c.csv", "id,caption,image\n".encode("utf-16"), {}, "UTF-16"),
    ("UTF-16 in JSON Lines", "c.jsonl", "{}\n".encode("utf-16"), {}, "UTF-16"),
    ("one JSON list", "c.json", b"[]", {}, "no kind of table"),
    ("a spreadsheet", "c.xlsx", b"PK\x03\x04", {}, "no kind of table"),
    (
        "JSON over many lines",
        "c.jsonl",
        b'{\n"id": 1,\n"caption": "x"\n}\n',
        {},
        "c.jsonl has no row that can be used",
    ),
    ("a binary file", "c.jsonl", bytes(range(256)) * 8, {}, "c.jsonl has no row that can be used"),
    ("no such column in any row", "c.jsonl", GOOD, {"text_column": "words"}, "c.jsonl:1: no column 'words'"),
    ("no Parquet", "c.parquet", b"id,caption", {}, "c.parquet cannot be read"),
    ("no such split", "c.jsonl", GOOD, {"split_column": "id", "split": "test"}, "splits are: 'good'"),
    ("no image folder", "c.jsonl", GOOD, {"images": "no/such/folder"}, "no/such/folder is not a folder"),
]


@pytest.mark.parametrize(
    ("name", "content", "config", "message"), [case[1:] for case in FILES], ids=[c[0] for c in FILES]
)
def test_files(read, file, name, content, config, message):
    with pytest.raises(DataError, match=message) as caught:
        read(kind="table", captions=file(name, content), **config)
    assert caught.value.remedy


def test_a_path_that_is_not_there_or_a_folder(read, tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.jsonl does not exist"):
        read(kind="table", captions=tmp_path / "nowhere.jsonl")
    with pytest.raises(DataError, match="is not a file"):
        read(kind="table", captions=tmp_path)


def test_the_table_has_the_cases_that_it_should():
    assert len(JSON_ROWS) + len(CSV_ROWS) + len(FILES) >= 25


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.sampled_from(["c.jsonl", "c.csv", "c.tsv"]))
def test_no_bytes_make_a_reader_fail_in_another_way(read, file, content, name):
    head = {"c.jsonl": GOOD, "c.csv": b"id,caption,image\na,b,c\n", "c.tsv": b"id\tcaption\timage\na\tb\tc\n"}
    rows, problems = read(kind="table", captions=file(name, head[name] + content))
    assert rows[0].source_id in ("good", "a")
    for problem in problems:
        str(problem).encode()
        assert f"{name}:" in problem.where
