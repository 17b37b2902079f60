"""The page: all sections in one HTML file that asks nothing of any network.

What models wrote is escaped wherever it stands, or is data that no script treats as markup; and should that
ever fail, the page's policy lets the browser run only the one script and apply only the one style sheet whose
digests it names.
"""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from typing import Any

from lpt_eval.report.behaviours import behaving
from lpt_eval.report.letters import ordering
from lpt_eval.report.markup import Markup, element, joined, json_block, raw
from lpt_eval.report.material import Material, colour, key, title_of
from lpt_eval.report.parts import badge, legend, section
from lpt_eval.report.sections import differences, glance, outcomes, scores
from lpt_eval.report.studies import agreeing, thinking

_NAV = {
    "scores": "Scores",
    "differences": "Differences",
    "outcomes": "Outcomes",
    "thinking": "Length",
    "behaviours": "Behaviours",
    "agreement": "Thought and answer",
    "order": "Order",
    "examples": "Examples",
    "method": "Method",
}


def page(material: Material, examples: dict[str, Any]) -> str:
    """The whole page.

    Args:
        material: The runs.
        examples: Data of the gallery.
    """
    style, script = _asset("report.css"), _asset("report.js")
    sections: dict[str, Markup | None] = {
        "scores": scores(material),
        "differences": differences(material),
        "outcomes": outcomes(material),
        "thinking": thinking(material),
        "behaviours": behaving(material),
        "agreement": agreeing(material),
        "order": ordering(material),
        "examples": _examples(examples),
        "method": _method(material),
    }
    there = {name: found for name, found in sections.items() if found is not None}
    nav = element(
        "nav",
        *(element("a", words, href=f"#{name}") for name, words in _NAV.items() if name in there),
        aria_label="Sections",
    )
    body = element(
        "body",
        element("a", "To the examples", href="#examples", class_="skip"),
        _header(material),
        nav,
        element("main", _warnings(material, examples), glance(material), *there.values()),
        json_block("data", examples),
        element("script", raw(script)),
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(style, script)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"Evaluation: {', '.join(run.name for run in material.runs)}"),
        element("style", raw(style)),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _asset(name: str) -> str:
    return (resources.files("lpt_eval.report") / "assets" / name).read_text(encoding="utf-8")


# ---- above the sections ------------------------------------------------------------------------------


def _header(material: Material) -> Markup:
    runs = [
        element(
            "li",
            badge(number),
            element("strong", run.name),
            element("span", _asked(material, number), class_="quiet"),
        )
        for number, run in enumerate(material.runs)
    ]
    return element(
        "header",
        element("p", "lpt-eval report", class_="eyebrow"),
        element("h1", _headline(material)),
        element("ul", *runs, class_="runs"),
    )


def _headline(material: Material) -> str:
    names = [title_of(name) for name in material.benchmarks]
    on = names[0] if len(names) == 1 else f"{len(names)} benchmarks"
    count = len(material.runs)
    return f"One run on {on}" if count == 1 else f"{count} runs on {on}, compared"


def _asked(material: Material, number: int) -> str:
    run = material.runs[number]
    model = run.info.model
    samples = sorted({of.protocol.n for of in run.info.benchmarks.values()})
    short = model.name.rstrip("/").rpartition("/")[2] or model.name
    asked = sorted({f"{of.protocol.name}, {of.protocol.form}" for of in run.info.benchmarks.values()})
    facts = [*[short] * (short != run.name), f"by {model.kind}", f"protocol {' and '.join(asked)}"]
    if samples != [1]:
        facts.append(f"{'/'.join(map(str, samples))} samples")
    if run.info.shuffles > 1:
        facts.append(f"{run.info.shuffles} orders of the options")
    return " · ".join(facts)


def _warnings(material: Material, examples: dict[str, Any]) -> Markup | None:
    made = material.comparison
    lines: list[str] = []
    if made is not None:
        lines += [f"Not alike: {line}" for line in made.unlike]
        lines += [f"Incomplete: {line}" for line in made.incomplete]
    else:
        lines += [
            f"Incomplete: {title_of(name)}: {one.missing} of {one.expected} answers are not there."
            for name, one in material.summaries[0].benchmarks.items()
            if one.missing
        ]
    if examples["lost"]:
        lost = examples["lost"]
        lines.append(
            f"Pictures: {lost} have no small copy in the runs' folders (images/): they are not shown."
        )
    if not lines:
        return None
    return element(
        "aside",
        element("ul", *(element("li", line) for line in lines)),
        class_="warnings",
        aria_label="Warnings",
    )


# ---- examples and method -----------------------------------------------------------------------------


def _examples(examples: dict[str, Any]) -> Markup:
    left_out = [
        f"{one['title']}: {one['shown']} of {one['questions']} questions"
        for one in examples["benchmarks"]
        if one["shown"] < one["questions"]
    ]
    note = (
        f" Shown: {'; '.join(left_out)}; those on which runs differ come first (--examples)."
        if left_out
        else ""
    )
    return section(
        "examples",
        "Examples",
        joined(
            "Every question with its picture and what each run thought and answered.",
            note,
            " ",
            element(
                "span",
                element("kbd", "j"),
                " ",
                element("kbd", "k"),
                " go through the examples, ",
                element("kbd", "←"),
                " ",
                element("kbd", "→"),
                " through the pages, ",
                element("kbd", "/"),
                " searches.",
                class_="keys",
            ),
        ),
        element("noscript", element("p", "The examples need JavaScript; nothing else of this page does.")),
        element("form", id="filters", class_="filters", hidden=True, autocomplete="off"),
        element("p", id="count", class_="count", role="status"),
        legend((f"line sign-{place}", name) for place, name in enumerate(examples["behaviours"])),
        element("ol", id="list", class_="examples"),
        element("div", id="pager", class_="pager"),
    )


def _method(material: Material) -> Markup:
    parts: list[Markup] = []
    for number, run in enumerate(material.runs):
        model = run.info.model
        facts = [("Model", f"{model.name} ({model.kind})")]
        if model.revision:
            facts.append(("Revision", model.revision))
        if model.weights:
            facts.append(("Weights", model.weights))
        for name, asked in run.info.benchmarks.items():
            protocol = asked.protocol
            drawn = protocol.sampling.model_dump(exclude_none=True, exclude_defaults=True)
            pixels = "as they are" if protocol.pixels is None else protocol.pixels.label
            words = [
                f"protocol {protocol.name} ({protocol.form}), {protocol.fingerprint}",
                f"images {pixels}",
                "sampling "
                + (", ".join(f"{field} {value}" for field, value in drawn.items()) or "the endpoint's own"),
                f"seed {protocol.seed}" if protocol.seed is not None else "",
                f"{protocol.n} samples" if protocol.n > 1 else "",
                f"data {asked.data}" if asked.data else "",
            ]
            facts.append((title_of(name), "; ".join(word for word in words if word)))
        versions = ", ".join(f"{name} {version}" for name, version in sorted(run.info.versions.items()))
        facts.append(("Read by", f"reader {run.info.reader}" + (f"; {versions}" if versions else "")))
        rows = [joined(element("dt", term), element("dd", text)) for term, text in facts]
        title = element("h3", element("span", key(number), class_=f"badge {colour(number)}"), f" {run.name}")
        parts.append(element("div", title, element("dl", *rows), class_="run"))
    return section(
        "method",
        "Method",
        "What was run, so that it can be run again. Numbers are comparable where the protocols' fingerprints "
        "are the same.",
        *parts,
    )
