"""The manifests on the deployment pages are those of ``deploy/``, and none is left out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "deployment").glob("*.md"))
BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
MARKED = re.compile(r"<!-- (file|part of): (\S+) -->\n```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
#: The table of a page names files that it does not show.
NAMED = re.compile(r"`(deploy/\S+\.yaml)`")


def found(pattern):
    return [
        (page.name, *match) for page in PAGES for match in pattern.findall(page.read_text("utf-8"))
    ]


@pytest.mark.parametrize(
    ("page", "kind", "path", "shown"), found(MARKED), ids=[f"{m[0]}-{m[2]}" for m in found(MARKED)]
)
def test_manifest_on_the_page_is_the_file_or_a_part_of_it(page, kind, path, shown):
    text = (ROOT / path).read_text(encoding="utf-8")
    if kind == "file":
        assert shown == text
    else:
        assert "\n" + shown in "\n" + text


def test_every_block_of_yaml_says_which_file_it_is():
    assert len(MARKED.findall("".join(page.read_text("utf-8") for page in PAGES))) == len(
        BLOCK.findall("".join(page.read_text("utf-8") for page in PAGES))
    )


def test_every_manifest_is_named_on_a_page_and_every_name_is_a_file():
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "deploy").rglob("*.yaml")}
    named = {name for page in PAGES for name in NAMED.findall(page.read_text("utf-8"))}
    shown = {path for _, _, path, _ in found(MARKED)}
    assert named | shown == files


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "deployment" / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\(([\w-]+\.md)\)", index)) == {
        page.name for page in PAGES if page.name != "README.md"
    }


def test_every_link_to_a_heading_of_these_pages_leads_to_one():
    headings = {
        page.name: {
            re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-")
            for title in re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
        }
        for page in PAGES
    }
    for page in PAGES:
        links = re.findall(r"\]\(([\w-]+\.md)?#([\w-]+)\)", page.read_text("utf-8"))
        for target, anchor in links:
            assert anchor in headings[target or page.name], f"{page.name}: {target}#{anchor}"
