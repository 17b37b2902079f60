"""The report as one file: markup, styles, script, and the data that the script reads."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from lpt_core import StoreError
from lpt_synth.report import sections
from lpt_synth.report.columns import pack
from lpt_synth.report.gather import Gathered
from lpt_synth.report.html import Markup, joined, tag
from lpt_synth.report.sections import ReportFacts

SCRIPTS = ("data.js", "filters.js", "list.js", "detail.js", "main.js")
"""In this order they are one script."""

STYLES = ("page.css", "gallery.css")
_THUMBNAILS = 48  # in one piece


def write_report(to: Path, facts: ReportFacts, made: Gathered) -> int:
    """Write a report. The same run makes the same bytes; the file is there whole or not at all.

    Text that models wrote reaches the page as text alone: escaped where it stands in markup, compressed where
    the script reads it, and the page's policy allows no other script and no network.

    Args:
        to: The file.
        facts: What stands beside the run's own figures.
        made: What a pass over the run found.

    Returns:
        How many bytes it has.

    Raises:
        StoreError: It cannot be written.
    """
    building = to.with_name(f".{to.name}.tmp")
    try:
        with building.open("wb") as file:
            for part in _parts(facts, made):
                file.write(part if isinstance(part, bytes) else part.encode("utf-8", "replace"))
            size = file.tell()
        building.replace(to)
    except OSError as error:
        raise StoreError(
            f"{to} cannot be written: {error.strerror or error}.", "choose another --out"
        ) from error
    return size


def _parts(facts: ReportFacts, made: Gathered) -> Iterator[str | bytes]:
    style = "".join(map(_asset, STYLES))
    script = '"use strict";\n' + "".join(map(_asset, SCRIPTS))
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; img-src blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    yield '<meta name="color-scheme" content="light dark">\n'
    yield tag("title", f"{facts.name} – lpt-synth report")
    yield f"\n<style>{style}</style>\n</head>\n<body>\n"
    yield _body(facts, made)
    yield "\n"
    index = made.gallery.index()
    for number, piece in enumerate(made.gallery.pieces):
        yield from _data(f"texts-{number}", piece)
    images = made.thumbnails.images
    for start in range(0, len(images), _THUMBNAILS):
        # WebP does not get smaller; each picture is a line.
        lines = b"\n".join(map(base64.b64encode, images[start : start + _THUMBNAILS]))
        yield from _data(f"images-{start // _THUMBNAILS}", lines)
    yield from _data("index", pack(index | {"images_in_piece": _THUMBNAILS}))
    yield f"<script>{script}</script>\n</body>\n</html>\n"


def _body(facts: ReportFacts, made: Gathered) -> Markup:
    links = {
        "funnel": "Funnel",
        "yields": "Yields",
        "passes": "Difficulty",
        "lengths": "Lengths",
        "behaviours": "Behaviours",
        "cost": "Cost",
        "gallery": "Gallery",
        "made": "How it was made",
    }
    menu = joined(tag("a", title, href=f"#{name}") for name, title in links.items())
    notes = joined(tag("p", note, class_="note") for note in sections.gallery_notes(made))
    gallery = Markup(_asset("gallery.html")).replace("<!-- notes -->", notes)
    return joined(
        [
            tag("a", "Skip to the gallery", href="#gallery", class_="skip"),
            sections.header(facts, made),
            tag("nav", menu, aria_label="Parts of the report"),
            tag(
                "main",
                sections.figures(facts, made),
                Markup(gallery),
                sections.provenance(facts),
            ),
            tag("footer", f"Written by lpt-synth {facts.version}. Nothing here asks a network."),
        ]
    )


def _data(name: str, content: bytes) -> Iterator[bytes]:
    """A block of data, which no browser runs; base64 has nothing that could end it."""
    yield f'<script type="application/octet-stream" id="{name}">'.encode()
    yield content
    yield b"</script>\n"


def _asset(name: str) -> str:
    return (resources.files("lpt_synth.report") / "page" / name).read_text(encoding="utf-8")


def _digest(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
