"""Text from files and servers as it is shown: what would steer a terminal or reorder a line is made visible.

Names of files and classes, label maps, pages of servers and error texts of libraries may contain anything. Whatever
is printed, logged or raised goes through here: `console`, `errors` and the command line do this for everybody.
"""

import re
import unicodedata

LONGEST_SHOWN = 300  # characters of one value from a file, in a message

# Control characters (but for tab and line break), bidirectional controls and other invisible format characters, line
# and paragraph separators, halves of characters, and the characters for tags. The joiners U+200C and U+200D belong to
# the spelling of words in several scripts and stay.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff"
    "\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_BREAKS = re.compile("[\t\n]")


def visible(text):
    """The text with escapes (\\x1b, \\u202e) for characters that a reader cannot see; line breaks and tabs stay.

    Text that was made visible does not change again.
    """
    return _UNSEEN.sub(_escape, str(text))


def one_line(text):
    """As `visible`, for a value within a line: line breaks and tabs are escaped too."""
    return _BREAKS.sub(_escape, visible(text))


def _escape(match):
    code = ord(match[0])
    known = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(match[0])
    return known or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")


def tell_apart(expected, received):
    """Two texts that a message compares, with escapes for what is not ASCII if they would look the same.

    They do if only the encoding of accents differs, or if letters of another alphabet replace those they resemble.
    """
    first, second = str(expected), str(received)
    if first != second and _look_alike(first, second):
        return tuple(text.encode("ascii", "backslashreplace").decode("ascii") for text in (first, second))
    return first, second


def _look_alike(first, second):
    if unicodedata.normalize("NFKC", first) == unicodedata.normalize("NFKC", second):
        return True
    differing = [pair for pair in zip(first, second) if pair[0] != pair[1]]
    return len(first) == len(second) and all(map(_is_imitation, differing))


def _is_imitation(letters):
    """Whether one of two letters is Latin and the other of an alphabet with letters that look like Latin ones."""
    alphabets = [unicodedata.name(letter, "").partition(" ")[0] for letter in letters]
    return "LATIN" in alphabets and not {"CYRILLIC", "GREEK"}.isdisjoint(alphabets)


def width(text):
    """The number of columns of a terminal that a text takes.

    Chinese, Japanese and Korean letters and most pictographs take two (Unicode Standard Annex 11, classes W and F),
    accents and joiners that are separate characters none.
    """
    return len(text) if text.isascii() else sum(map(_columns_of, text))


def _columns_of(letter):
    if unicodedata.category(letter) in ("Mn", "Me", "Cf") or "\u1160" <= letter <= "\u11ff":
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def pad(text, columns, to_the_right=False):
    """The text with blanks up to a number of columns of a terminal, see `width`.

    Args:
      text: one line.
      columns: at least; a longer text stays as it is.
      to_the_right: whether the blanks precede the text, as for numbers.
    """
    blanks = " " * (columns - width(text))
    return blanks + text if to_the_right else text + blanks


def shorten(text, longest=LONGEST_SHOWN):
    """The text, or its beginning and how many characters follow if it is longer than `longest`."""
    text = str(text)
    return text if len(text) <= longest else f"{text[:longest]}... ({len(text) - longest} more characters)"
