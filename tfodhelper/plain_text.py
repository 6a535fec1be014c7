"""Text from files and servers as it is shown: what would steer a terminal or reorder a line is made visible.

Names of files and classes, label maps, pages of servers and error texts of libraries may contain anything. Whatever
is printed, logged or raised goes through here: `console`, `errors` and the command line do this for everybody.
"""

import re

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


def shorten(text, longest=LONGEST_SHOWN):
    """The text, or its beginning and how many characters follow if it is longer than `longest`."""
    text = str(text)
    return text if len(text) <= longest else f"{text[:longest]}... ({len(text) - longest} more characters)"
