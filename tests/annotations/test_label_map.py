"""Label maps: ids, names, files."""

import pytest

from tfodhelper import errors
from tfodhelper.annotations import label_map as label_maps


def test_made_maps_are_sorted_and_start_at_one():
    made = label_maps.make_label_map(["dog", "cat", "dog"])
    assert [(item.id, item.name) for item in made] == [(1, "cat"), (2, "dog")]
    assert (made.id_of("dog"), made.index_of("dog"), made.name_of(1), made.name_of_index(0)) == (2, 1, "cat", "cat")
    assert made.num_classes == len(made) == 2


def test_round_trip_with_odd_names(tmp_path):
    made = label_maps.make_label_map(['it\'s "it"', "日本", "a b", "1"])
    path = tmp_path / "label_map.pbtxt"
    label_maps.write_label_map(path, made)
    assert label_maps.read_label_map(path) == made
    assert "日本" in path.read_text(encoding="utf-8")


def test_display_names_are_found_and_gaps_are_listed():
    text = "item { name: '/m/01' id: 1 display_name: 'person' } item { name: '/m/02' id: 4 display_name: 'car' }"
    read = label_maps.parse_label_map(text, "coco.pbtxt")
    assert read.id_of("car") == read.id_of("/m/02") == 4
    assert (read.num_classes, len(read), read.gaps) == (4, 2, (2, 3))
    assert "person" in read
    assert "tree" not in read


def test_an_item_for_the_background_is_ignored():
    read = label_maps.parse_label_map("item { id: 0 name: 'background' } item { id: 1 name: 'a' }", "a.pbtxt")
    assert read.names == ("a",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no class"),
        ("item { id: 0 name: 'a' }", "ids start at 1"),
        ("item { id: -1 name: 'a' }", "ids start at 1"),
        ("item { id: 1 }", "no name"),
        ("item { id: 1 name: 'a' } item { id: 1 name: 'b' }", "already belongs to 'a'"),
        ("item { id: 1 name: 'a' } item { id: 2 name: 'a' }", "already has the id 1"),
        ("item { id: 1 nmae: 'a' }", "nmae"),
        ("a, b, c", "is not a label map"),
    ],
)
def test_invalid_label_maps_are_rejected(text, words):
    with pytest.raises(errors.AnnotationError, match="map.pbtxt") as caught:
        label_maps.parse_label_map(text, "map.pbtxt")
    assert words in str(caught.value)


def test_an_unknown_class_suggests_similar_names():
    with pytest.raises(errors.AnnotationError, match="did you mean 'platelet'"):
        label_maps.make_label_map(["platelet", "cell"]).id_of("plateelt")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(errors.AnnotationError, match="none.pbtxt"):
        label_maps.read_label_map(tmp_path / "none.pbtxt")
