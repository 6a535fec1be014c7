"""Numbers with their nouns."""

import pytest

from tfodhelper import spelling


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ((0, "image"), "0 images"),
        ((1, "image"), "1 image"),
        ((2, "box"), "2 boxes"),
        ((1, "class"), "1 class"),
        ((3, "training class"), "3 training classes"),
        ((2, "entry"), "2 entries"),
        ((2, "day"), "2 days"),
        ((1, "image is", "images are"), "1 image is"),
        ((4, "image is", "images are"), "4 images are"),
    ],
)
def test_a_number_with_its_noun(given, text):
    assert spelling.count(*given) == text
