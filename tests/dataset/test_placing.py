"""Names in a new folder: none is given twice, and each image has an annotation file of its own."""

import os

from hypothesis import given
from hypothesis import strategies as st

from tfodhelper.dataset import placing

stems = st.sampled_from(["a", "A", "a_2", "A_2", "a_2_2", "b", "in/a", "STRASSE", "straße", "a.jpg", "a_2.png"])


def test_free_names_by_hand():
    names = placing.FreeNames()
    taken = [names.take(*name) for name in (("a",), ("A",), ("a_2",), ("a", ".jpg"), ("a", ".JPG"), ("a", ".png"))]
    assert taken == ["a", "A_2", "a_2_2", "a.jpg", "a_2.JPG", "a.png"]


@given(st.lists(stems))
def test_no_name_is_given_twice_on_any_file_system(wished):
    names = placing.FreeNames()
    taken = [names.take(stem) for stem in wished]
    assert len({name.casefold() for name in taken}) == len(taken)
    assert all(name == stem or name.startswith(f"{stem}_") for name, stem in zip(taken, wished))


def test_image_names_by_hand():
    names = placing.Names(["a.jpg", "a.png", "b.jpg"])
    assert names.take("a.jpg") == ("a.jpg", "a.jpg")  # "a.xml" could belong to either
    assert names.take("a.png") == ("a.png", "a.png")
    assert names.take("b.jpg") == ("b.jpg", "b")
    assert names.take("B.jpg") == ("B_2.jpg", "B_2")
    assert names.take("b.tif", ".png") == ("b.png", "b.png")


def test_an_image_that_is_named_after_another_one_by_hand():
    wished = ["a.jpg.png", "a.jpg", "a.png"]
    names = placing.Names(wished)
    assert [names.take(name) for name in wished] == [(name, name) for name in wished]
    names = placing.Names([])  # the names that follow are unknown
    assert [names.take(name) for name in ("a.png", "a.jpg.png", "a.jpg")] == [
        *(("a.png", "a"), ("a.jpg.png", "a.jpg"), ("a_2.jpg", "a_2")),
    ]


@given(st.lists(st.tuples(stems, st.sampled_from([".jpg", ".JPG", ".png"])).map("".join)), st.booleans())
def test_neither_images_nor_their_annotation_files_share_a_name(wished, is_known):
    names = placing.Names(wished if is_known else [])
    images, owned = zip(*map(names.take, wished)) if wished else ((), ())
    for given_names in (images, owned):
        assert len({name.casefold() for name in given_names}) == len(wished)
    assert [os.path.splitext(name)[1] for name in images] == [os.path.splitext(name)[1] for name in wished]
