"""The documentation pages: HTML around an OpenAPI document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape

from mlserver_core.rest.openapi.schemas import Schema

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} - mlserver-core</title>
<link rel="icon" href="data:,">
{head}
</head>
<body>
{body}
</body>
</html>
"""


def interactive_page(document: Schema, *, static: str, path: str) -> str:
    """A page that shows the document with Swagger UI.

    Args:
        document: an OpenAPI document.
        static: the path of the files that the page loads.
        path: the page's own path; the document is below it.
    """
    static, source = escape(static), escape(f"{path}/dataplane.json")
    head = [
        f'<link rel="stylesheet" href="{static}/swagger-ui.css">',
        f'<link rel="stylesheet" href="{static}/docs.css">',
        f'<script defer src="{static}/swagger-ui-bundle.js"></script>',
        f'<script defer src="{static}/docs.js"></script>',
    ]
    body = f"""<noscript>
This page needs JavaScript. <a href="{source}">The OpenAPI document</a> needs none.
</noscript>
<div id="swagger-ui" data-document="{source}"></div>"""
    return _to_html(document, head, body)


def plain_page(document: Schema, *, static: str, path: str) -> str:
    """A page that lists the calls of the document and needs no JavaScript; arguments as above."""
    head = [f'<link rel="stylesheet" href="{escape(static)}/docs.css">']
    calls = "\n".join(_list_calls(document))
    body = f"""<main class="plain">
<h1>{escape(document["info"]["title"])}</h1>
<p>{escape(document["info"]["description"])}
<a href="{escape(path)}/dataplane.json">The OpenAPI document</a> has all of this and more.</p>
<p>The operator of the server can turn this into a page where calls are tried out:
<code>pip install 'mlserver-core[docs]'</code>, and a restart.</p>
{calls}
</main>"""
    return _to_html(document, head, body)


def _to_html(document: Schema, head: list[str], body: str) -> str:
    title = escape(document["info"]["title"])
    return _PAGE.format(title=title, head="\n".join(head), body=body)


def _list_calls(document: Schema) -> Iterator[str]:
    for tag in document["tags"]:
        calls = [
            (method.upper(), document["servers"][0]["url"].rstrip("/") + path, operation)
            for path, operations in document["paths"].items()
            for method, operation in operations.items()
            if tag["name"] in operation["tags"]
        ]
        if calls:
            yield f"<h2>{escape(tag['name'].capitalize())}</h2>"
            yield f"<p>{escape(tag['description'])}</p>"
            yield "<dl>"
            for call in calls:
                yield _describe_call(*call)
            yield "</dl>"


def _describe_call(method: str, path: str, operation: Schema) -> str:
    body = operation.get("requestBody", {"content": {}})["content"].values()
    examples = "".join(
        f"<details><summary>A body to send</summary><pre>{escape(_to_text(each['example']))}</pre>"
        "</details>"
        for each in body
        if "example" in each
    )
    return (
        f"<dt><span>{escape(method)}</span> <code>{escape(path)}</code></dt>\n"
        f"<dd>{escape(operation['summary'])}{examples}</dd>"
    )


def _to_text(example: Schema) -> str:
    """JSON with one line per tensor, so that long data stays one."""
    tensors = ",\n".join("    " + json.dumps(tensor) for tensor in example["inputs"])
    return f'{{\n  "inputs": [\n{tensors}\n  ]\n}}'
