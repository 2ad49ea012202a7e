"""The /docs page: one HTML file made from the OpenAPI document, that asks no other host for anything."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
STYLE, SCRIPT = ((HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))


def _allowed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


CSP = f"default-src 'none'; style-src {_allowed(STYLE)}; script-src {_allowed(SCRIPT)}; connect-src 'self'; base-uri 'none'"
"""What the page may do: its own style and script, and ask this service."""


def page(document: Mapping[str, Any]) -> str:
    """Return the page of an OpenAPI document."""
    info, sections, links = document["info"], [], []
    for tag in document["tags"]:
        name = tag["name"]
        mine = [(path, method, told) for path, method, told in _operations(document) if name in told["tags"]]
        links.append(f"<strong>{escape(name)}</strong>" + "".join(map(_link, mine)))
        cards = "".join(_card(document, path, method, told) for path, method, told in mine)
        sections.append(f'<section><h2>{escape(name)}</h2><p class="soft">{escape(tag["description"])}</p>{cards}</section>')
    about = "".join(f"<p>{escape(part)}</p>" for part in info["description"].split("\n\n"))
    title = escape(info["title"])
    links.append('<strong>Document</strong><a href="/openapi.json">openapi.json</a>')
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}: online service</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head><body>'
        f'<div class="frame"><nav aria-label="Operations"><b>{title}</b>{"".join(links)}</nav>'
        f"<main><h1>{title}: online service</h1>{about}{''.join(sections)}</main></div><script>{SCRIPT}</script></body></html>"
    )


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            yield path, method.upper(), told


def _link(operation: tuple[str, str, Mapping[str, Any]]) -> str:
    told = operation[2]
    return f'<a href="#{escape(told["operationId"])}">{escape(told["summary"])}</a>'


def _card(document: Mapping[str, Any], path: str, method: str, told: Mapping[str, Any]) -> str:
    body = told.get("requestBody", {}).get("content", {}).get("application/json")
    more = (_fields(document, body["schema"]) if body else "") + _errors(told)
    return (
        f'<article id="{escape(told["operationId"])}" data-path="{escape(path)}" data-method="{method}">'
        f'<h3>{escape(told["summary"])}</h3><div class="line"><span class="method {method}">{method}</span>'
        f'<code class="path">{escape(path)}</code></div><p>{_inline(told["description"])}</p>'
        f'<div class="two"><div>{_asking(told, body)}</div><div><h4>Answer</h4>{_done(told)}</div></div>{more}</article>'
    )


def _inline(text: str) -> str:
    """Return a description with `code` in it as HTML."""
    parts = escape(" ".join(text.split())).split("`")
    return "".join(f"<code>{part}</code>" if at % 2 else part for at, part in enumerate(parts))


def _asking(told: Mapping[str, Any], body: Mapping[str, Any] | None) -> str:
    """Return what is asked, to be changed and sent."""
    region = ""
    for parameter in told.get("parameters", ()):
        name, first = escape(parameter["name"]), escape(str(parameter["schema"]["examples"][0]))
        region = f'<label>{name} <input value="{first}" size="12" aria-label="{name}"></label>'
    send = f'<div class="try">{region}<button type="button">Send</button><span class="said status" role="status"></span></div>'
    if body is None:
        return f"<h4>Request</h4>{send}"
    examples = {name: _pretty(example["value"]) for name, example in body["examples"].items()}
    options = "".join(
        f'<option data-example="{escape(json.dumps(text))}">{escape(name)}</option>' for name, text in examples.items()
    )
    first = escape(next(iter(examples.values())))
    choose = f'<div class="try"><label>Example <select>{options}</select></label></div>'
    return f'<h4>Request</h4>{choose}<textarea spellcheck="false" aria-label="Request body">{first}</textarea>{send}'


def _done(told: Mapping[str, Any]) -> str:
    (content,) = told["responses"]["200"]["content"].values()
    example = content["example"]
    return f'<pre class="result" tabindex="0">{escape(example if isinstance(example, str) else _pretty(example))}</pre>'


def _fields(document: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """Return the table of a request's fields."""
    resolved = _resolve(document, schema)
    required = set(resolved.get("required", ()))
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code>{' *' if name in required else ''}</td><td>{escape(_type(document, told))}</td>"
        f"<td>{_inline(told.get('description', ''))}</td></tr>"
        for name, told in resolved["properties"].items()
    )
    head = "<tr><th>field</th><th>type</th><th>what</th></tr>"
    return f'<details><summary>Fields</summary><div class="scroll"><table>{head}{rows}</table></div></details>'


def _resolve(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (
        document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]] if "$ref" in schema else schema
    )
    return found


def _type(document: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    if "$ref" in told:
        return " or ".join(_resolve(document, told).get("properties", {}))
    if "anyOf" in told:
        return " or ".join(_type(document, kind) for kind in told["anyOf"])
    if told.get("type") == "array":
        return f"list of ({_type(document, told['items'])})"
    if told.get("type") == "object":
        return f"map to ({_type(document, told.get('additionalProperties', {}))})"
    return str(told.get("type", "anything"))


def _errors(told: Mapping[str, Any]) -> str:
    rows = ""
    for status, response in told["responses"].items():
        if status != "200":
            (content,) = response["content"].values()
            rows += (
                f'<tr><td class="status bad">{escape(status)}</td><td>{escape(response["description"])}</td>'
                f"<td><code>{escape(json.dumps(content['example'], ensure_ascii=False))}</code></td></tr>"
            )
    if not rows:
        return ""
    head = "<tr><th>status</th><th>when</th><th>example</th></tr>"
    return f'<details><summary>Errors</summary><div class="scroll"><table>{head}{rows}</table></div></details>'


def _pretty(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
