"""Facts -> HTML by the templates of this folder."""

import json
from typing import Any

import jinja2
from markupsafe import Markup

from flows.show.console import human_bytes, human_seconds
from flows.show.report import mining, results
from tasks.languages import name_of


def render(facts: dict[str, Any], template: str = "page.html") -> str:
    """Fill a template of this folder; texts are data and are escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("flows.show.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "figure": results.figure,
        "signed": results.signed,
        "label": results.label,
        "reason": mining.words,
        "language": name_of,
        "bytes": human_bytes,
        "seconds": human_seconds,
        "json": _json,
    }
    environment.tests["sure"] = results.is_sure
    return environment.get_template(template).render(facts)


def _json(value: Any) -> Markup:
    """Write JSON for a script element: no text in it can end the element, nor a line of the script."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)  # noqa: S704 - what could end the element is escaped
