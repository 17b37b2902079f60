"""A folder of images with texts beside them."""

from __future__ import annotations

import os
import sys

import pytest

from lpt_core import DataError


def test_pairs_in_sorted_order_at_any_depth(read, file, tmp_path):
    for name in ("b.JPG", "a.png", "sub/c.Tiff", "sub/d.webp", ".hidden.jpg", ".git/x.jpg", "notes.md"):
        file(f"f/{name}", b"")
    for name in ("b", "a", "sub/c", "sub/d"):
        file(f"f/{name}.TXT" if name == "a" else f"f/{name}.txt", f"\ufeffcaption {name}\n")
    rows, problems = read(kind="folder", captions=tmp_path / "f")
    assert not problems
    assert [row.source_id for row in rows] == ["a", "b", "sub/c", "sub/d"]
    assert [row.text for row in rows] == ["caption a", "caption b", "caption sub/c", "caption sub/d"]
    assert rows[2].image == tmp_path / "f" / "sub" / "c.Tiff"
    assert (rows[2].where, rows[2].source) == (str(tmp_path / "f" / "sub" / "c.txt"), "folder")


def test_what_has_no_counterpart_is_a_problem_each(read, file, tmp_path):
    for name in ("good.jpg", "alone.jpg", "twice.jpg", "twice.png"):
        file(f"f/{name}", b"")
    for name in ("good.txt", "orphan.txt", "twice.txt"):
        file(f"f/{name}", "caption")
    file("f/latin.jpg", b"")
    file("f/latin.txt", "caf\xe9".encode("latin-1"))
    file("f/empty.jpg", b"")
    file("f/empty.txt", " \n")
    rows, problems = read(kind="folder", captions=tmp_path / "f")
    assert [row.image.name for row in rows] == ["good.jpg", "twice.jpg"]
    assert [(problem.kind, problem.where.rsplit("/", 1)[1]) for problem in problems] == [
        ("image_without_caption", "alone.jpg"),
        ("caption_empty", "empty.txt"),
        ("row_not_utf8", "latin.txt"),
        ("caption_without_image", "orphan.txt"),
        ("id_duplicate", "twice.txt"),
    ]


def test_shuffle_and_limit(read, file, tmp_path):
    for number in range(20):
        file(f"f/{number}.jpg", b"")
        file(f"f/{number}.txt", str(number))
    rows, _ = read(kind="folder", captions=tmp_path / "f", shuffle=True)
    some, _ = read(kind="folder", captions=tmp_path / "f", shuffle=True, limit=4)
    assert some == rows[:4]
    assert [row.text for row in rows] != sorted(row.text for row in rows)


@pytest.mark.skipif(sys.platform == "win32", reason="such names cannot be made")
def test_a_name_that_is_not_utf_8_is_a_problem_that_can_be_printed(read, file, tmp_path):
    file("f/good.jpg", b"")
    file("f/good.txt", "caption")
    for ending in (b"jpg", b"txt"):
        with open(os.fsencode(tmp_path / "f") + b"/b\xff." + ending, "wb") as out:  # noqa: PTH123
            out.write(b"caption")
    rows, problems = read(kind="folder", captions=tmp_path / "f")
    assert [row.source_id for row in rows] == ["good"]
    assert [problem.kind for problem in problems] == ["row_not_utf8"]
    str(problems[0]).encode()


def test_a_folder_with_nothing_of_use(read, file, tmp_path):
    file("f/readme.md", "x")
    with pytest.raises(DataError, match="f is empty"):
        read(kind="folder", captions=tmp_path / "f")
    file("f/a.jpg", b"")
    with pytest.raises(DataError, match=r"no a\.txt lies beside the image"):
        read(kind="folder", captions=tmp_path / "f")
    with pytest.raises(DataError, match="nowhere is not a folder"):
        read(kind="folder", captions=tmp_path / "nowhere")
