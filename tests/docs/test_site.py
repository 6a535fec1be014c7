"""The site of docs/: it builds without a warning, notices broken links, and loads nothing from other places."""

import importlib.util
import re
import shutil
import subprocess
import sys

import pytest

import tfodhelper
from tests.docs import pages
from tests.shared_data import REPOSITORY

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("sphinx", "myst_parser", "furo")),
    reason='needs Sphinx: pip install -c constraints.txt ".[docs]"',
)


def test_the_readme_is_short():
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def build(source, target):
    """Builds the site; returns the finished process."""
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "--keep-going",
        "-E",
        "-d",
        target / "trees",
        source,
        target / "html",
    ]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = build(pages.DOCS, folder)
    assert done.returncode == 0, done.stderr
    return folder / "html"


def test_every_page_is_in_the_menu(site):
    menu = (site / "index.html").read_text(encoding="utf-8")
    names = [path.stem for path in pages.page_paths() if path.parent == pages.DOCS and path.stem != "index"]
    assert [name for name in names if f'class="reference internal" href="{name}.html"' not in menu] == []


def test_nothing_is_loaded_from_other_places(site):
    loaded = []
    for path in [*site.glob("*.html"), *site.rglob("*.css")]:
        text = path.read_text(encoding="utf-8")
        loaded += re.findall(r"""(?:\bsrc=|<link[^>]*\bhref=|url\(|@import\s)["']?((?:https?:)?//[^"')\s]+)""", text)
    assert loaded == []


def test_pictures_are_small_and_shown(site):
    files = list((pages.DOCS / "images").iterdir())
    assert files and sum(path.stat().st_size for path in files) < 300_000
    html = "".join(path.read_text(encoding="utf-8") for path in site.glob("*.html"))
    assert [path.name for path in files if f'src="_images/{path.name}"' not in html] == []


def test_the_command_line_has_the_help_of_every_verb(site):
    text = (site / "flags.html").read_text(encoding="utf-8")
    assert 'id="active-round"' in text and 'id="export-annotations"' in text
    assert "]ignore_unsupported_fields" in text and "--num_calibration_images" in text


def test_the_reference_has_every_public_name(site):
    text = (site / "reference.html").read_text(encoding="utf-8")
    names = [name for name in tfodhelper.__all__ if name != "__version__"]
    assert [name for name in names if f'id="tfodhelper.{name}"' not in text] == []
    assert "the published weights of the model" in text and 'id="tfodhelper.Prediction.draw"' in text


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[a page](nowhere.md)", "nowhere"),
        ("[a heading](data.md#nothing-of-this-name)", "nothing-of-this-name"),
        ("![a picture](images/none.jpg)", "none.jpg"),
    ],
)
def test_what_is_broken_is_noticed(tmp_path, text, complaint):
    source = tmp_path / "docs"
    source.mkdir()
    shutil.copy(pages.DOCS / "data.md", source)
    configuration = (pages.DOCS / "conf.py").read_text(encoding="utf-8")
    configuration = configuration.replace("pathlib.Path(__file__).parents[1]", f"{str(REPOSITORY)!r}")
    (source / "conf.py").write_text(re.sub("^html_(static|css).*\n", "", configuration, flags=re.MULTILINE))
    (source / "index.md").write_text(f"# Broken\n\n{text}\n")
    done = build(source, tmp_path)
    assert done.returncode != 0 and complaint in done.stderr
