"""Names in a new folder: none is given twice, and each image has an annotation file of its own."""

import os

from hypothesis import given, settings
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


def test_no_name_is_at_once_that_of_a_file_and_of_a_folder():
    names = placing.Names([])
    wished = ["a.jpg", "a.jpg/b.jpg", "A.JPG/c.jpg", "d.jpg/e.jpg", "d.jpg", "a.xml/f.jpg", "g.xml/h.jpg", "g.jpg"]
    assert [names.take(name) for name in wished] == [
        *(("a.jpg", "a"), ("a.jpg_2/b.jpg", "a.jpg_2/b"), ("A.JPG_2/c.jpg", "A.JPG_2/c")),
        *(("d.jpg/e.jpg", "d.jpg/e"), ("d_2.jpg", "d_2"), ("a.xml_2/f.jpg", "a.xml_2/f")),
        *(("g.xml/h.jpg", "g.xml/h"), ("g.jpg", "g.jpg")),
    ]


def test_many_equal_names_are_numbered_at_once():
    names = placing.FreeNames()
    assert [names.take("a", ".jpg") for _ in range(20_000)][-1] == "a_20000.jpg"  # not by trying 20000 names each


_PARTS = st.sampled_from(["a", "a.jpg", "a.xml", "A.jpg", "b" * 251, "b" * 255, "ü" * 130])


@settings(max_examples=40)
@given(st.lists(st.lists(_PARTS, min_size=1, max_size=3).map("/".join)), st.sampled_from([None, ".jpg", ".webp"]))
def test_all_names_can_be_files_together(tmp_path_factory, wished, suffix):
    folder, names = tmp_path_factory.mktemp("names"), placing.Names([])
    for image, own in [names.take(name, suffix) for name in wished]:
        for path in (folder / image, folder / f"{own}.xml"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.open("x").close()


def test_long_names_stay_as_they_are_while_both_files_fit():
    names = placing.Names([])
    assert names.take("x" * 251 + ".jpg") == ("x" * 251 + ".jpg", "x" * 251)
    image, own = names.take("x" * 251 + ".jpg")
    assert (image, own) == ("x" * 249 + "_2.jpg", "x" * 249 + "_2")
