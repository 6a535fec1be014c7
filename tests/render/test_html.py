"""Pages: hostile values stay text, nothing is fetched, and a page is written atomically."""

import re
import subprocess
import sys
import weakref

import jinja2
import pytest

from tests.pages import Page
from tests.shared_data import REPOSITORY
from tfodhelper import errors
from tfodhelper.render import html as pages
from tfodhelper.render import palette

TEMPLATES = REPOSITORY / "tfodhelper" / "render" / "templates"
HOSTILE = {
    "script": "<script>alert(1)</script>",
    "double quote": '"><img src=x onerror=alert(1)>',
    "single quote": "' onmouseover='alert(1)",
    "end of style": "</style></code></li><script>",
    "comment": "<!-- -->]]>",
    "ampersands": "a&b &amp; c &#60;",
    "template": "{{ 7 * 7 }}{% raw %}{# a #}",
    "letters": "класс 红细胞 Käfer 🐞",
    "address": "javascript:alert(1)",
}
SPELT_OUT = {
    "terminal": ("a\x1b[31mb", r"a\x1b[31mb"),
    "null": ("a\x00b", r"a\x00b"),
    "carriage return": ("a\rb", r"a\x0db"),
    "undecodable file name": ("a\udcffb", r"a\xdcffb"),
    "control character of Latin 1": ("a\x9bb", r"a\x9bb"),
    "no character": ("a\uffffb", r"a\xffffb"),
}


def card(name="a.jpg", picture=None, lines=(), kind=""):
    return pages.Card(name, picture, tuple(lines), kind)


def check_values(**more):
    values = {"title": "t", "places": [], "links": [], "tiles": [], "kinds": [], "suspects": None, "sections": []}
    return values | more


def rounds_values(text, cards):
    """Every value of the page of rounds is that text."""
    return {
        "title": text,
        "places": [text],
        "links": [(text, text)],
        "tiles": [(text, text)],
        "per_kind": text,
        "plots": [(b"png", text)],
        "sheet": {
            "text": text,
            "header": [text],
            "rows": [{"label": text, "num_images": text, "cells": [(text, text)], "figures": [text]}],
        },
        "tables": [{"title": text, "header": [text], "rows": [(text,)], "note": text}],
        "legend": {"classes": [(palette.ORANGE, text)], "num_more": 0},
        "rounds": [
            {"number": text, "title": text, "is_open": True, "galleries": [{"title": text, "cards": cards}]},
        ],
    }


def write(folder, template, **values):
    pages.write_page(folder / "a.html", template, **values)
    return (folder / "a.html").read_text(encoding="utf-8")


def tags_of_quiet_page(folder):
    return Page(write(folder, "rounds.html", **rounds_values("quiet", [card("quiet", None, ["quiet"])])))


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_values_are_text(tmp_path, text):
    page = Page(write(tmp_path, "rounds.html", **rounds_values(text, [card(text, None, [text])])))
    quiet = tags_of_quiet_page(tmp_path)
    assert page.tags == quiet.tags
    assert [name for name, _ in page.attributes] == [name for name, _ in quiet.attributes]
    for tag in (
        "title",
        "h1",
        "h2",
        "h3",
        "b",
        "span",
        "td",
        "th",
        "li",
        "code",
        "summary",
        "i",
        "a",
        "p",
        "figcaption",
    ):
        found, expected = ("".join(tags.texts.get(tag, [])) for tags in (page, quiet))
        assert found == expected.replace("quiet", text), tag
    assert [value for _, value in page.attributes] == [
        value and value.replace("quiet", text) for _, value in quiet.attributes
    ]


@pytest.mark.parametrize("text, expected", SPELT_OUT.values(), ids=SPELT_OUT)
def test_what_no_page_may_hold_is_spelt_out(tmp_path, text, expected):
    page = Page(write(tmp_path, "rounds.html", **rounds_values(text, [card(text, None, [text])])))
    assert "".join(page.texts["h1"]).strip() == expected
    assert "".join(page.texts["code"]).strip() == expected
    assert expected in page.texts["li"]
    assert ("title", expected) in page.attributes


def test_a_value_that_is_missing_is_an_error_and_leaves_no_page(tmp_path):
    values = check_values()
    write(tmp_path, "check.html", **values)
    before = (tmp_path / "a.html").read_bytes()
    del values["tiles"]
    with pytest.raises(jinja2.UndefinedError, match="tiles"):
        write(tmp_path, "check.html", **values)
    assert [path.name for path in tmp_path.iterdir()] == ["a.html"]
    assert (tmp_path / "a.html").read_bytes() == before


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(errors.StorageError, match=r"none.a\.html"):
        write(tmp_path / "none", "check.html", **check_values())


def test_one_card_at_a_time_is_in_memory(tmp_path):
    alive, numbers, written = weakref.WeakSet(), [], []

    def make_cards():
        for number in range(50):
            made = card(f"{number}.jpg", bytes(90_000))  # 120 kB in the page
            alive.add(made)
            numbers.append(len(alive))
            written.append(sum(path.stat().st_size for path in tmp_path.iterdir()))
            yield made

    text = write(tmp_path, "rounds.html", **rounds_values("t", make_cards()))
    assert text.count('<div class="card">') == 50
    assert max(numbers) <= 2
    assert written[-1] > 48 * 120_000


def test_a_card_shows_its_picture_and_eight_lines(tmp_path):
    cards = [card("a.jpg", b"\xff\xd8", [f"line {i}" for i in range(11)], "adopted"), card("b.jpg", None, ["one"])]
    text = write(tmp_path, "rounds.html", **rounds_values("t", cards))
    assert '<img loading="lazy" alt="" src="data:image/jpeg;base64,/9g=">' in text
    assert '<div class="card adopted">' in text
    page = Page(text)
    assert [line for line in page.texts["li"] if line.strip()] == [
        *(f"line {i}" for i in range(8)),
        *("... and 3 more", "one"),
    ]
    assert "no picture" in page.texts["div"]


def test_pages_fetch_nothing_and_run_nothing(tmp_path):
    page = Page(write(tmp_path, "rounds.html", **rounds_values("t", [card("a", b"jpeg")])))
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    addresses = [value for name, value in page.attributes if name in ("src", "href", "srcset", "action")]
    assert addresses and all(address.startswith(("#", "data:image/")) for address in addresses)
    (policy,) = [value for name, value in page.attributes if name == "content" and "default-src" in value]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    assert not re.search(r"url\(|@import|https?:", style)
    texts = {path.name: path.read_text() for path in TEMPLATES.glob("*.html")}
    # The page of `label` has a server, and scripts in files of its own: see tests/labelling/test_server.py.
    assert re.findall(r"<script[^>]*>", texts.pop("label.html")) == ['<script type="module" src="assets/main.js">']
    assert not re.search(r"https?:|<script", "".join(texts.values()))


def test_all_pages_have_one_head_and_one_style_sheet(tmp_path):
    same = {"title": "t", "places": ["/a"], "links": [("b", "c")]}
    texts = [
        write(tmp_path, "check.html", **check_values(**same)),
        write(tmp_path, "rounds.html", **(rounds_values("t", []) | same)),
    ]
    heads = {text[: text.index("<main>")] for text in texts}
    assert len(heads) == 1
    (head,) = heads
    assert (TEMPLATES / "style.css").read_text(encoding="utf-8") in head
    assert f"--good:{palette.GREEN}" in head
    assert "prefers-color-scheme:dark" in head and "@media print" in head and 'name="viewport"' in head


def test_no_module_holds_pieces_of_pages():
    pieces = re.compile(r"</?(?:html|head|body|div|table|tr|td|th|p|h[1-6]|ul|li|span|img|figure|style|details)\b")
    names = [
        path.name
        for path in (REPOSITORY / "tfodhelper").rglob("*.py")
        if pieces.search(path.read_text(encoding="utf-8"))
    ]
    assert names == []


def test_pages_need_neither_matplotlib_nor_tensorflow():
    code = """
import sys
for name in ("matplotlib", "tensorflow", "tf_keras"):
    sys.modules[name] = None
import tfodhelper.render.html, tfodhelper.render.thumbnails, tfodhelper.render.boxes
import tfodhelper.review.page, tfodhelper.active_learning.report.page, tfodhelper.active_learning.report.gallery
"""
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True)
