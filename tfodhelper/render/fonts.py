"""Fonts for names in any script: which files to look for, and which of them can write a text. Needs no matplotlib.

Pillow brings a font for ASCII, matplotlib one for Latin, Greek and Cyrillic letters. For the rest, such as Chinese,
Japanese and Korean, a font has to be installed.
"""

import functools
import importlib.util
import itertools
import os
import pathlib
import sys

from PIL import ImageFont

_OF_MATPLOTLIB = "DejaVuSans.ttf"
# By the names under which systems install them, the first choice first.
_FILES = (
    *(_OF_MATPLOTLIB, "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf"),
    *("NotoSansCJK-Regular.ttc", "NotoSansCJKsc-Regular.otf", "NotoSansCJKjp-Regular.otf", "NotoSansCJKkr-Regular.otf"),
    *("NotoSansSC-Regular.otf", "NotoSansJP-Regular.otf", "NotoSansKR-Regular.otf", "SourceHanSans-Regular.ttc"),
    *("SourceHanSansSC-Regular.otf", "wqy-zenhei.ttc", "wqy-microhei.ttc", "DroidSansFallbackFull.ttf", "uming.ttc"),
    *("ipagp.ttf", "ipag.ttf", "NanumGothic.ttf"),
    *("Arial Unicode.ttf", "PingFang.ttc", "Hiragino Sans GB.ttc", "AppleSDGothicNeo.ttc"),
    *("arial.ttf", "msyh.ttc", "simhei.ttf", "YuGothM.ttc", "malgun.ttf"),
)
_UNASSIGNED = "\U0010ffff"  # no font has it: what is drawn for it is the mark of a missing letter


@functools.lru_cache(maxsize=1)
def find_fonts():
    """Looks for fonts with more letters than the built-in one.

    Returns:
      Paths of those that are there, the first choice first.
    """
    rank = {name.lower(): number for number, name in enumerate(_FILES)}
    paths = {}
    for folder in _font_folders():
        for parent, _, names in os.walk(folder):
            for name in names:
                if name.lower() in rank:
                    paths.setdefault(rank[name.lower()], pathlib.Path(parent, name))
    matplotlib = importlib.util.find_spec("matplotlib")  # which is not imported here
    if matplotlib is not None:
        bundled = pathlib.Path(matplotlib.origin).parent / "mpl-data" / "fonts" / "ttf" / _OF_MATPLOTLIB
        paths.setdefault(rank[_OF_MATPLOTLIB.lower()], bundled)
    return tuple(path for _, path in sorted(paths.items()))


def _font_folders():
    home = os.path.expanduser("~")
    if sys.platform == "win32":
        return [
            os.path.join(os.environ.get("LOCALAPPDATA", home), "Microsoft", "Windows", "Fonts"),
            os.path.join(os.environ.get("WINDIR", r"C:\Windows"), "Fonts"),
        ]
    if sys.platform == "darwin":
        return [os.path.join(home, "Library", "Fonts"), "/Library/Fonts", "/System/Library/Fonts"]
    data = os.environ.get("XDG_DATA_HOME") or os.path.join(home, ".local", "share")
    more = (os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share").split(":")
    return [*(os.path.join(folder, "fonts") for folder in [data, *more]), os.path.join(home, ".fonts")]


@functools.lru_cache(maxsize=256)
def choose_font(text, size_px):
    """Chooses a font for a line on a picture.

    Args:
      text: one line.
      size_px: size of the letters.

    Returns:
      (PIL font, text): the built-in font, or else the first one that has all letters of the text. Where no font has all
      of them, the one that has most; a "?" in the text stands for those in a row that it lacks.
    """
    best = ImageFont.load_default(size_px)
    missing = _missing_letters(best, text)
    for path in find_fonts() if missing else ():
        try:
            font = ImageFont.truetype(path, size_px)
        except OSError:  # a damaged file
            continue
        still_missing = _missing_letters(font, text)
        if len(still_missing) < len(missing):
            best, missing = font, still_missing
        if not missing:
            break
    runs = itertools.groupby(text, key=missing.__contains__)
    return best, "".join("?" if is_missing else "".join(letters) for is_missing, letters in runs)


def _missing_letters(font, text):
    if text.isascii() and text.isprintable():
        return set()
    missing_mark = bytes(font.getmask(_UNASSIGNED))
    return {letter for letter in set(text) if not letter.isspace() and bytes(font.getmask(letter)) == missing_mark}
