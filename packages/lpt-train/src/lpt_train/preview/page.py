"""Previews as one HTML file that needs nothing else: no script, no address, all text escaped."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

from lpt_core import DataError, ImageRef
from lpt_core.image_files import decoded, read_bytes
from lpt_train.preview.spans import PreviewResponse, PreviewRow, Span
from lpt_train.preview.terminal import facts, shown, visible

_THUMBNAIL = 256  # pixels a side

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; \
img-src data:">
<meta name="viewport" content="width=device-width"><title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #222; background: #fff; }}
article {{ border-top: 1px solid #ccc; padding: 1rem 0; }}
h1, h2 {{ font-size: 1.1rem; }}
h3 {{ font-size: .95rem; font-weight: normal; color: #555; margin-bottom: .3rem; }}
pre {{ font: inherit; white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; }}
.notes {{ margin-top: .6rem; border-left: 3px solid #ccc; padding-left: .6rem; }}
img {{ float: right; margin: 0 0 1rem 1rem; }}
.nothing {{ color: #777; }}
.loss {{ background: #cdebc5; }}
.preference {{ background: #ffe8a3; }}
.rejected .preference {{ background: #f8c9c4; }}
.both {{ background: #b9e3ef; }}
.straddling {{ outline: 2px solid #a0209a; }}
.image {{ border: 1px solid #999; border-radius: 3px; padding: 0 .3em; }}
</style></head><body>
<h1>{title}</h1>
<p>{legend}</p>
{rows}
</body></html>
"""
_LEGEND = (
    ("nothing", "no loss"),
    ("loss", "loss"),
    ("preference", "preference loss, raised"),
    ("both", "both"),
    ("straddling", "a token across a border between loss and no loss"),
)


def html_page(rows: Sequence[PreviewRow], title: str) -> str:
    """A page of rows. What the pointer rests on tells its region and how many tokens it has.

    Args:
        rows: As ``preview`` makes them.
        title: Of the page.
    """
    legend = " ".join(f'<span class="{name}">{word}</span>' for name, word in _LEGEND)
    lowered = '<span class="rejected"><span class="preference">preference loss, lowered</span></span>'
    body = "\n".join(_row(row) for row in rows)
    return _PAGE.format(title=escape(visible(title)), legend=f"{legend} {lowered}", rows=body)


def _row(row: PreviewRow) -> str:
    head = f"<h2>{escape(visible(row.where))} · {escape(row.kind)}</h2>"
    told = escape("\n".join(map(visible, row.notes)))
    notes = f'<pre class="notes">{told}</pre>' if told else ""
    return f"<article>{head}{_picture(row.image)}{''.join(map(_response, row.responses))}{notes}</article>"


def _response(response: PreviewResponse) -> str:
    spans = "".join(map(_span, response.spans))
    told = f"{response.name}: {facts(response)}"
    return f'<section class="{escape(response.name)}"><h3>{escape(told)}</h3><pre>{spans}</pre></section>'


def _span(span: Span) -> str:
    classes = [span.bears]
    if span.straddling:
        classes.append("straddling")
    if span.region == "image":
        classes.append("image")
    count = f"{span.tokens} token{'' if span.tokens == 1 else 's'}"
    return f'<span class="{" ".join(classes)}" title="{span.region}, {count}">{escape(shown(span))}</span>'


def _picture(image: ImageRef) -> str:
    """A small copy of the image inside the page; a word in its place where it cannot be read."""
    path = Path(image.path)
    try:
        picture = decoded(read_bytes(path), path)
    except DataError as error:
        return f"<p>{escape(visible(error.message))}</p>"
    picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
    out = io.BytesIO()
    picture.save(out, "PNG")
    data = base64.b64encode(out.getvalue()).decode("ascii")
    return f'<img alt="the image" src="data:image/png;base64,{data}">'
