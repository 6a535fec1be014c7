"""Fonts made for tests, in a folder where they are found like installed ones."""

import contextlib
import os
import string
from unittest import mock

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

from tfodhelper.render import fonts

CHINESE = "红细胞白血球小板"


@contextlib.contextmanager
def installed(folder, letters_by_file):
    """Lets nothing be installed but fonts made of {file name: letters}, all of which have the letters of ASCII."""
    (folder / "fonts").mkdir(parents=True)
    for name, letters in letters_by_file.items():
        make_font(folder / "fonts" / name, letters + string.printable)
    nothing = {"XDG_DATA_HOME": str(folder), "XDG_DATA_DIRS": str(folder / "none"), "HOME": str(folder / "none")}
    forget()
    with mock.patch.dict(os.environ, nothing):
        yield
    forget()


def forget():
    """Clears the caches, so that fonts are searched for again."""
    fonts.find_fonts.cache_clear()
    fonts.choose_font.cache_clear()


def make_font(path, letters):
    """Writes a font in which each letter is a solid block of another height, and a missing one is a hollow block."""
    names = {ord(letter): f"letter{ord(letter):x}" for letter in sorted(set(letters)) if letter.isprintable()}
    glyphs = {".notdef": _draw_block(700, is_hollow=True)}
    glyphs |= {name: _draw_block(250 + 4 * number) for number, name in enumerate(names.values())}
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(list(glyphs))
    builder.setupCharacterMap(names)
    builder.setupGlyf(glyphs)
    builder.setupHorizontalMetrics(dict.fromkeys(glyphs, (600, 50)))
    builder.setupHorizontalHeader(ascent=900, descent=-200)
    builder.setupNameTable({"familyName": path.stem, "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=900, sTypoDescender=-200, usWinAscent=900, usWinDescent=200)
    builder.setupPost()
    builder.save(path)


def _draw_block(height, is_hollow=False):
    pen = TTGlyphPen(None)
    shapes = [[(50, 0), (50, height), (550, height), (550, 0)]]
    shapes += [[(150, 100), (450, 100), (450, height - 100), (150, height - 100)]] if is_hollow else []
    for first, *others in shapes:
        pen.moveTo(first)
        for point in others:
            pen.lineTo(point)
        pen.closePath()
    return pen.glyph()
