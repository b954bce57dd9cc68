"""The site is whole: `make docs` runs this on what it has just built."""

import re
from pathlib import Path

import pytest
from reference_pages import sections

import deepscore

ROOT = Path(__file__).parents[2]
SITE = ROOT / "docs-output/html"
PAGES = sorted(SITE.rglob("*.html"))
TUTORIALS = ("first-steps", "trust", "atlas-file", "team", "bridge", "chromatin", "protein")


def text_of(page):
    return (SITE / page).read_text(encoding="utf-8")


def exported():
    """Return what the R package exports."""
    namespace = (ROOT / "r-package/NAMESPACE").read_text(encoding="utf-8")
    return [name.strip('"') for name in re.findall(r"^export\((.*)\)$", namespace, flags=re.MULTILINE)]


@pytest.mark.parametrize("name", [name for names in sections(deepscore).values() for name in names])
def test_every_public_name_of_python_has_a_page(name):
    assert f'id="{name}"' in text_of(f"python/{name}.html")
    assert f'href="{name}.html' in text_of("python/index.html")


@pytest.mark.parametrize("name", exported())
def test_every_export_of_r_has_a_page(name):
    overview = text_of("r/index.html")
    topic = "reexports" if name == "%>%" else name
    pages = [page.stem for page in SITE.glob("r/*.html") if f">{topic}<" in overview or topic == "reexports"]
    assert pages


@pytest.mark.parametrize("name", TUTORIALS)
def test_every_tutorial_was_run_and_has_a_picture(name):
    page = text_of(f"tutorials/{name}.html")
    assert page.count("cell_output") > 1
    assert "<img" in page
    assert "Traceback" not in page


def test_the_front_page_leads_to_both_languages():
    page = text_of("index.html")
    for target in ("python/index.html", "r/index.html", *(f"tutorials/{name}.html" for name in TUTORIALS)):
        assert f'href="{target}"' in page


@pytest.mark.parametrize("page", sorted(SITE.glob("r/*.html")), ids=lambda page: page.stem)
def test_a_page_of_r_has_no_markup_of_rd_left(page):
    shown = re.sub(r"<[^>]*>", "", page.read_text(encoding="utf-8"))
    assert not re.findall(r"\\(?:code|link|item|strong|emph|cr|tab|if|url|doi|Sexpr)\b", shown)


def test_every_command_is_told():
    page = text_of("command-line.html")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in set(re.findall(r"^ {4}deepscore ([a-z]+) ", readme, flags=re.MULTILINE)):
        assert f">deepscore {command}<" in page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(SITE)))
def test_a_page_has_its_pictures_and_asks_nothing_of_other_sites(page):
    text = page.read_text(encoding="utf-8")
    assert not re.findall(r'<(?:script|img|iframe)[^>]+src="(?:https?:)?//[^"]*"', text)
    assert not re.findall(r'<link[^>]+href="(?:https?:)?//[^"]*"', text)
    pictures = [src for src in re.findall(r'<img[^>]+?src="([^"]*)"', text) if not src.startswith("data:")]
    assert not [src for src in pictures if not (page.parent / src).is_file()]
