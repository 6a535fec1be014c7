"""What all imports have in common: no label is lost or changed silently, and no loss makes a negative."""

import json
import shlex

import pytest

from tests.dataset.scan.picture_set import save_image
from tests.formats.record_files import make_record, write_records
from tests.shared_data import shared
from tfodhelper import errors
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.annotations import labelimg
from tfodhelper.annotations.label_map import LabelMap, LabelMapItem
from tfodhelper.annotations.structures import Box
from tfodhelper.cli import main
from tfodhelper.formats import importing, tfrecord, yolo
from tfodhelper.formats.class_ids import ClassIds
from tfodhelper.limits import MAX_CLASSES

HEAD = "filename,width,height,class,xmin,ymin,xmax,ymax\n"


def save_images(folder, *names):
    for seed, name in enumerate(names):
        save_image(folder / name, seed=seed)
    return folder


def save_table(path, *lines, head=HEAD):
    path.write_text(head + "".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def save_json(path, images, annotations, categories):
    """Images are (id, name), annotations (image id, category id), categories (id, name)."""
    content = {
        "images": [{"id": id_, "file_name": name, "width": 64, "height": 48} for id_, name in images],
        "annotations": [
            {"id": number, "image_id": image, "category_id": category, "bbox": [5, 6, 20, 30]}
            for number, (image, category) in enumerate(annotations, start=1)
        ],
        "categories": [{"id": id_, "name": name} for id_, name in categories],
    }
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def import_from(format_, *paths, out, **given):
    return importing.import_set(format_, {"train": paths}, out, **given)


def codes_of(made):
    return [finding.code for finding in made.findings]


def names_in(folder, ending):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob(f"*{ending}"))


def ids_in(folder):
    return {item.name: item.id for item in label_maps.read_label_map(folder / "label_map.pbtxt")}


def save_all_bad(format_, folder):
    """An image of which no box can be read, a good one, and a true negative; returns the path of the input."""
    save_images(folder, "bad.jpg", "good.jpg", "none.jpg")
    if format_ == "csv":
        lines = ("bad.jpg,64,48,cat,x,1,2,3", "bad.jpg,64,48,,1,1,9,9", "good.jpg,64,48,cat,1,1,9,9", "none.jpg,,,,,,,")
        return save_table(folder / "a.csv", *lines)
    if format_ == "coco":
        images = ((1, "bad.jpg"), (2, "good.jpg"), (3, "none.jpg"))
        return save_json(folder / "a.json", images, ((1, 7), (1, 8), (2, 1)), [(1, "cat")])
    (folder / "data.yaml").write_text("names: [cat]\n", encoding="utf-8")
    for name, text in (("bad", "9 .5 .5 .5 .5\n0 x\n"), ("good", "0 .5 .5 .5 .5\n"), ("none", "")):
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return folder / "data.yaml"


@pytest.mark.parametrize("format_", ["csv", "coco", "yolo"])
def test_an_image_that_lost_all_of_its_boxes_is_no_negative(tmp_path, format_):
    made = import_from(format_, save_all_bad(format_, tmp_path / "in"), out=tmp_path / "out")
    assert names_in(tmp_path / "out", ".xml") == ["good.xml", "none.xml"]
    assert (made.num_images, made.num_negatives, made.num_left_out) == (2, 1, 1)
    assert codes_of(made).count("no-box-left") == 1 and made.unlisted == ()


def test_a_record_that_lost_all_of_its_boxes_is_no_negative(tmp_path):
    bad = make_record([Box("cat", float("nan"), 1, 9, 9)], filename="bad.jpg")
    path = write_records(tmp_path / "a.record", bad, make_record([], filename="none.jpg"))
    made = tfrecord.import_records({"train": path}, tmp_path / "out")
    assert names_in(tmp_path / "out", ".xml") == ["none.xml"]
    assert codes_of(made) == ["box-not-a-number", "no-box-left"]
    assert (made.num_images, made.num_negatives, made.num_left_out) == (1, 1, 1)


@pytest.mark.parametrize(
    ("format_", "name", "left_out"), [("csv", "bad.csv", "img001"), ("coco", "bad.json", "img002")]
)
def test_public_files_whose_boxes_are_unusable(tmp_path, format_, name, left_out):
    folder = shared("cases/01-import-all-boxes-bad-becomes-negative")
    made = import_from(format_, folder / name, out=tmp_path / "out", image_dir=folder / "images")
    assert made.num_negatives == 0 and f"{left_out}.xml" not in names_in(tmp_path / "out", ".xml")
    assert "no-box-left" in codes_of(made)


def test_a_public_record_whose_lists_differ_in_length(tmp_path):
    folder = shared("cases/01-import-all-boxes-bad-becomes-negative")
    made = tfrecord.import_records({"train": folder / "bad.record"}, tmp_path / "out")
    assert made.num_negatives == 0 and codes_of(made).count("no-box-left") == 1


@pytest.mark.parametrize(
    ("pairs", "names", "expected", "codes"),
    [
        ([("a", 9), ("b", 5)], "ab", {"b": 5, "a": 9}, []),
        ([("dummy", 0), ("a", 1), ("b", 2)], "ab", {"a": 1, "b": 2}, []),  # 0 is not used: nothing moves
        ([("a", 0), ("b", 2)], "ab", {"a": 1, "b": 3}, ["ids-moved"]),
        ([("a", 10**12), ("b", 2)], "ab", {"b": 2, "a": 3}, ["id-replaced"]),
        ([("a", MAX_CLASSES), ("b", MAX_CLASSES + 1)], "a", {"a": MAX_CLASSES}, []),
        ([("a", MAX_CLASSES), ("b", MAX_CLASSES + 1)], "ab", {"b": 1, "a": MAX_CLASSES}, ["id-replaced"]),
        ([("a", "x"), ("b", -1)], "ab", {"a": 1, "b": 2}, ["id-replaced"] * 2),
        ([("a", 3)], "ab", {"a": 3, "b": 4}, ["id-replaced"]),
        ([("a", 1), ("a", 2), ("b", 3)], "ab", None, ["ids-conflict"]),
        ([("a", 1), ("b", 1)], "ab", None, ["ids-conflict"]),
        ([("a", 1), ("b", 1)], "a", {"a": 1}, []),
        ([], "ab", None, []),
    ],
)
def test_ids_by_hand(pairs, names, expected, codes):
    ids = ClassIds()
    ids.add(pairs)
    label_map, findings = ids.make_label_map(list(names))
    assert (label_map and {item.name: item.id for item in label_map}) == expected
    assert [finding.code for finding in findings] == codes


def test_a_category_0_without_boxes_does_not_move_the_others(tmp_path):
    folder = shared("cases/05-coco-category-0-shifts-all-ids")
    made = import_from("coco", folder / "roboflow.json", out=tmp_path / "out", image_dir=folder / "images")
    assert ids_in(tmp_path / "out") == {"bar": 1, "disc": 2} and made.findings == ()


def test_ids_that_are_written_as_text_are_keys_like_others(tmp_path):
    folder = shared("cases/12-coco-category-ids-as-text")
    made = import_from("coco", folder / "strings.json", out=tmp_path / "out", image_dir=folder / "images")
    assert ids_in(tmp_path / "out") == {"bar": 1, "disc": 2}
    assert (made.findings, made.num_negatives, made.num_images) == ((), 0, 6)


def test_a_number_a_text_and_a_fraction_can_be_the_same_id(tmp_path):
    save_images(tmp_path / "in", "a.jpg", "b.jpg")
    images, boxes = (("1", "a.jpg"), (2, "b.jpg")), ((1, "4"), ("2", 4.0), (2, "k"))
    path = save_json(tmp_path / "in" / "a.json", images, boxes, ((4, "cat"), ("k", "dog")))
    made = import_from("coco", path, out=tmp_path / "out")
    assert made.counts == {"cat": 2, "dog": 1} and codes_of(made) == ["id-replaced"]
    assert ids_in(tmp_path / "out") == {"cat": 4, "dog": 5}


def test_an_image_id_that_two_images_share_gives_neither_the_boxes(tmp_path):
    save_images(tmp_path / "in", "a.jpg", "b.jpg", "c.jpg")
    images = ((1, "a.jpg"), (1, "b.jpg"), (2, "c.jpg"))
    path = save_json(tmp_path / "in" / "a.json", images, ((1, 1), (1, 1), (2, 1)), [(1, "cat")])
    made = import_from("coco", path, out=tmp_path / "out")
    assert names_in(tmp_path / "out", ".xml") == ["c.xml"] and made.num_boxes == 1
    assert codes_of(made) == ["image-id-shared"] * 2 and made.num_left_out == 2
    assert [finding.file for finding in made.findings] == ["a.jpg", "b.jpg"]


def test_a_category_id_with_two_names_names_nothing(tmp_path):
    save_images(tmp_path / "in", "a.jpg", "b.jpg")
    images, categories = ((1, "a.jpg"), (2, "b.jpg")), ((1, "cat"), (1, "dog"), (2, "cow"))
    made = import_from(
        "coco", save_json(tmp_path / "in" / "a.json", images, ((1, 1), (2, 2)), categories), out=tmp_path / "out"
    )
    assert made.counts == {"cow": 1} and codes_of(made) == ["box-unnamed", "no-box-left"]
    assert "cat, dog" in made.findings[0].message


def test_files_that_number_classes_differently_get_no_label_map(tmp_path):
    save_images(tmp_path / "in", "a.jpg", "b.jpg")
    train = save_json(tmp_path / "in" / "t.json", [(1, "a.jpg")], [(1, 1)], ((1, "cat"), (2, "dog")))
    validate = save_json(tmp_path / "in" / "v.json", [(1, "b.jpg")], [(1, 1)], ((1, "dog"), (2, "cat")))
    made = importing.import_set("coco", {"train": [train], "validate": [validate]}, tmp_path / "out")
    assert codes_of(made) == ["ids-conflict"] * 4 and made.label_map is None
    assert not (tmp_path / "out" / "label_map.pbtxt").exists()


@pytest.mark.parametrize(
    ("head", "problem"),
    [
        ("filename,class,xmin,ymin,xmax,ymax,class", "several columns are called class"),
        ("filename,class,xmin,ymin,xmax,ymax,xmin,XMIN", "several columns are called xmin"),
        ("filename,class,xmin,ymin,xmax", "no column ymax"),
    ],
)
def test_a_column_must_be_there_once(tmp_path, head, problem):
    save_images(tmp_path / "in", "a.jpg")
    path = save_table(tmp_path / "in" / "a.csv", "a.jpg,cat,1,2,9,9,dog,4", head=head + "\n")
    with pytest.raises(errors.AnnotationError, match=problem):
        import_from("csv", path, out=tmp_path / "out")


def test_a_line_of_a_table_that_is_out_of_step_costs_only_itself(tmp_path):
    save_images(tmp_path / "in", "a.jpg", "b.jpg")
    lines = (
        "a, b.jpg,64,48,cat,1,1,9,9",
        "a.jpg,64,48,cat,1,1,9,9",
        '"b.jpg,64,48,cat,1,1,9,9',
        "b.jpg,64,48,cat,1,1,9,9",
    )
    made = import_from("csv", save_table(tmp_path / "in" / "a.csv", *lines), out=tmp_path / "out")
    assert made.counts == {"cat": 1} and codes_of(made) == ["entry-unusable"] * 2
    assert made.unlisted == ("b.jpg",)


def test_an_image_on_two_sides_is_not_used_for_training(tmp_path):
    save_images(tmp_path / "in", "a.jpg", "b.jpg", "c.jpg")
    line = "{}.jpg,64,48,cat,1,1,9,9"
    train = save_table(tmp_path / "in" / "t.csv", line.format("a"), line.format("b"))
    validate = save_table(tmp_path / "in" / "v.csv", line.format("b"))
    test = save_table(tmp_path / "in" / "x.csv", line.format("c"))
    paths = {"train": [train], "validate": [validate], "test": [test]}
    made = importing.import_set("csv", paths, tmp_path / "out")
    assert codes_of(made) == ["xml-copy", "split-leak"]
    texts = {side: (tmp_path / "out" / name).read_text("utf-8") for side, name in made.lists.items()}
    assert texts == {"train": "a.jpg\n", "validate": "b.jpg\n", "test": "c.jpg\n"}


def test_yolo_sides_with_a_test_set_are_kept(tmp_path):
    for side in ("train", "val", "test"):
        save_images(tmp_path / "in" / "images" / side, f"{side}.jpg")
        (tmp_path / "in" / "labels" / side).mkdir(parents=True)
        (tmp_path / "in" / "labels" / side / f"{side}.txt").write_text("0 .5 .5 .5 .5\n", encoding="utf-8")
    text = "train: images/train\nval: images/val\ntest: images/test\nnames: [cat]\n"
    (tmp_path / "in" / "data.yaml").write_text(text, encoding="utf-8")
    made = import_from("yolo", tmp_path / "in" / "data.yaml", out=tmp_path / "out")
    assert made.lists == {"train": "train.txt", "validate": "validate.txt", "test": "test.txt"}
    assert (tmp_path / "out" / "test.txt").read_text("utf-8") == "images/test/test.jpg\n"


def test_names_without_extension_are_stems(tmp_path):
    folder = shared("cases/07-csv-names-without-extension")
    made = import_from("csv", folder / "noext.csv", out=tmp_path / "out", image_dir=folder / "images")
    assert made.num_images == 6 and made.num_left_out == 0
    assert set(codes_of(made)) == {"filename-bare"}


def test_a_stem_that_two_images_have_is_ambiguous(tmp_path):
    save_images(tmp_path / "in", "a.jpg", "a.jpeg", "sub/b.c.jpg", "d.jpg")
    lines = [f"{name},64,48,cat,1,1,9,9" for name in ("a", "b.c", "x/d", "d.png")]
    made = import_from("csv", save_table(tmp_path / "in" / "a.csv", *lines), out=tmp_path / "out")
    assert names_in(tmp_path / "out", ".xml") == ["d.xml", "sub/b.c.xml"]
    assert codes_of(made) == ["image-ambiguous", "filename-bare", "filename-bare", "image-missing"]


def make_empty_inputs(folder):
    save_images(folder, "a.jpg")
    empty = save_json(folder / "empty.json", (), (), [(1, "cat")])
    return {"csv": save_table(folder / "empty.csv"), "coco": empty}


@pytest.mark.parametrize("format_", ["csv", "coco"])
def test_an_input_without_images_is_an_error(tmp_path, format_):
    path = make_empty_inputs(tmp_path / "in")[format_]
    with pytest.raises(errors.DatasetError, match="no image is listed"):
        import_from(format_, path, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_empty_record_files_are_an_error(tmp_path):
    (tmp_path / "a.record").touch()
    with pytest.raises(errors.DatasetError, match="a.record: the record files are empty"):
        tfrecord.import_records({"train": tmp_path / "a.record"}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_yolo_box_that_no_number_can_hold_costs_only_itself(tmp_path):
    save_images(tmp_path / "in", "a.jpg")
    (tmp_path / "in" / "data.yaml").write_text("names: [cat]\n", encoding="utf-8")
    (tmp_path / "in" / "a.txt").write_text("0 1e308 .5 .5 .5\n0 .5 .5 .5 .5\n1e308 .5 .5 .5 .5\n", encoding="utf-8")
    made = import_from("yolo", tmp_path / "in" / "data.yaml", out=tmp_path / "out")
    assert made.counts == {"cat": 1} and codes_of(made) == ["box-not-a-number", "box-unnamed"]


def test_coordinates_at_the_end_of_the_numbers_cost_only_themselves(tmp_path):
    save_images(tmp_path / "in", "a.jpg")
    path = save_json(tmp_path / "in" / "a.json", [(1, "a.jpg")], ((1, 1), (1, 1)), [(1, "cat")])
    content = json.loads(path.read_text("utf-8"))
    content["annotations"][0]["bbox"] = [1.7e308, 1, 1.7e308, 5]
    content["images"][0]["width"] = 1e308
    path.write_text(json.dumps(content), encoding="utf-8")
    made = import_from("coco", path, out=tmp_path / "out")
    assert made.counts == {"cat": 1} and codes_of(made) == ["box-not-a-number"]
    assert labelimg.read_labelimg(tmp_path / "out" / "a.xml").width == 64


def test_an_index_without_a_name_is_said(tmp_path):
    save_images(tmp_path / "in", "a.jpg")
    (tmp_path / "in" / "data.yaml").write_text("nc: 4\nnames: {0: cat, 2: dog}\n", encoding="utf-8")
    (tmp_path / "in" / "a.txt").write_text("1 .5 .5 .5 .5\n1 .4 .4 .4 .4\n2 .5 .5 .5 .5\n", encoding="utf-8")
    made = import_from("yolo", tmp_path / "in" / "data.yaml", out=tmp_path / "out")
    assert made.counts == {"class_1": 2, "dog": 1} and codes_of(made) == ["names-uncertain", "class-unnamed"]
    assert "no name for the class id 1 of 2 boxes, called class_1 here" in made.findings[1].message
    assert ids_in(tmp_path / "out") == {"class_1": 2, "dog": 3}


def test_records_keep_their_ids_and_say_which_have_no_name(tmp_path):
    folder = shared("cases/06-records-import-loses-ids")
    label_map = label_maps.read_label_map(folder / "gap.pbtxt")
    made = tfrecord.import_records({"train": folder / "ids_3_7.record"}, tmp_path / "out", label_map)
    assert ids_in(tmp_path / "out") == {item.name: item.id for item in label_map} | {"class_9": 9}
    assert codes_of(made) == ["class-unnamed"] and "--classes: no name for the class id 9" in made.findings[0].message


def test_records_of_two_sides_with_ids_of_their_own(tmp_path):
    label_map = LabelMap((LabelMapItem(3, "cat"), LabelMapItem(7, "dog")))
    box, dog = Box("cat", 1, 1, 9, 9), Box("dog", 1, 1, 9, 9)
    train = write_records(tmp_path / "t.record", make_record([box], label_map=label_map))
    validate = write_records(tmp_path / "v.record", make_record([box, dog], filename="b.jpg", label_map=label_map))
    made = tfrecord.import_records({"train": train, "validate": validate}, tmp_path / "out")
    assert ids_in(tmp_path / "out") == {"cat": 3, "dog": 7}
    assert (tmp_path / "out" / "validate.txt").read_text("utf-8") == "b.jpg\n"
    assert made.lists == {"train": "train.txt", "validate": "validate.txt"}


def test_a_record_that_is_damaged_costs_only_itself(tmp_path):
    records = [make_record([Box("cat", 1, 1, 9, 9)], filename=f"{name}.jpg") for name in "abcd"]
    path = write_records(tmp_path / "a.record", *records)
    data = bytearray(path.read_bytes())
    data[data.index(b"b.jpg")] ^= 1  # its checksum no longer fits
    path.write_bytes(bytes(data[:-20]))  # and the last record is cut off
    made = tfrecord.import_records({"train": path}, tmp_path / "out")
    assert names_in(tmp_path / "out", ".xml") == ["a.xml", "c.xml"]
    assert codes_of(made) == ["record-damaged"] * 2
    assert f"{path}, record 2: its checksum" in made.findings[0].message
    assert f"{path}, record 4: " in made.findings[1].message and "ends inside record 4" in made.findings[1].message


def test_blanks_around_class_names_are_said_by_every_import(tmp_path):
    folder = save_images(tmp_path / "in", "a.jpg")
    box = Box(" cat", 1, 1, 9, 9)
    (folder / "data.yaml").write_text("names: [' cat']\n", encoding="utf-8")
    (folder / "a.txt").write_text("0 .5 .5 .5 .5\n", encoding="utf-8")
    label_map = LabelMap((LabelMapItem(1, " cat"),))
    record = write_records(tmp_path / "a.record", make_record([box], label_map=label_map))
    results = [
        import_from("csv", save_table(folder / "a.csv", "a.jpg,64,48, cat,1,1,9,9"), out=tmp_path / "1"),
        import_from("coco", save_json(folder / "a.json", [(1, "a.jpg")], [(1, 1)], [(1, " cat")]), out=tmp_path / "2"),
        import_from("yolo", folder / "data.yaml", out=tmp_path / "3"),
        tfrecord.import_records({"train": record}, tmp_path / "4"),
    ]
    for made in results:
        assert made.counts == {"cat": 1} and codes_of(made) == ["name-blanks"]
        assert "' cat' is read as 'cat'" in made.findings[0].message


def test_class_names_of_a_yaml_file_are_the_texts_that_it_has(tmp_path):
    save_images(tmp_path / "in", "a.jpg")
    text = "nc: 6\nnames: [no, 010, 1.10, 2024-01-01, 1_000, 0x1F]\n"
    (tmp_path / "in" / "data.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "in" / "a.txt").write_text("".join(f"{i} .5 .5 .5 .5\n" for i in range(6)), encoding="utf-8")
    made = import_from("yolo", tmp_path / "in" / "data.yaml", out=tmp_path / "out")
    assert set(made.counts) == {"no", "010", "1.10", "2024-01-01", "1_000", "0x1F"} and made.findings == ()


@pytest.mark.parametrize(
    "text", ["names: [[a], {b: c}]", "names: {a: b}", "names: a", "- names", "names: [~]", "nc: x"]
)
def test_class_names_of_other_forms_are_an_error_or_texts(tmp_path, text):
    (tmp_path / "data.yaml").write_text(text, encoding="utf-8")
    try:
        names, *_ = yolo.read_names(tmp_path / "data.yaml")
    except errors.AnnotationError as error:
        assert "data.yaml" in str(error)
    else:
        assert all(name is None or isinstance(name, str) for name in names)


def test_an_index_that_a_yaml_file_names_twice_is_an_error(tmp_path):
    save_images(tmp_path / "in", "a.jpg")
    (tmp_path / "in" / "data.yaml").write_text("names:\n  0: cat\n  0: dog\n", encoding="utf-8")
    with pytest.raises(errors.AnnotationError, match="data.yaml.*'0' occurs twice"):
        import_from("yolo", tmp_path / "in" / "data.yaml", out=tmp_path / "out")


def test_names_of_records_never_meet(tmp_path):
    wished = ("a.jpg", "a.jpg/b.jpg", "a.xml/c.jpg", "d//e.jpg", "d/e.jpg", ".f.jpg", "x" * 300, "y/" * 3000 + "z.jpg")
    path = write_records(tmp_path / "a.record", *(make_record([], filename=name) for name in wished))
    made = tfrecord.import_records({"train": path}, tmp_path / "out")
    assert made.num_images == len(wished) and made.findings == ()
    assert names_in(tmp_path / "out", ".xml") == sorted(
        ["_f.xml", "a.jpg_2/b.xml", "a.xml", "a.xml_2/c.xml", "d/e.xml", "d/e_2.xml", f"{'x' * 251}.xml", "z.xml"]
    )


@pytest.mark.parametrize("how", ["link", "copy"])
def test_images_with_the_longest_names_are_imported(tmp_path, how):
    names = ["x" * 247 + ".jpg", "y" * 251 + ".jpg", "z" * 251 + ".jpg", "z" * 250 + ".jpeg"]
    save_images(tmp_path / "in", *names)
    lines = [f"{name},64,48,cat,1,1,9,9" for name in names]
    made = import_from("csv", save_table(tmp_path / "in" / "a.csv", *lines), out=tmp_path / "out", how=how)
    assert made.num_images == 4 and len(names_in(tmp_path / "out", ".xml")) == 4
    assert main.main(["check", f"--data_dir={tmp_path / 'out'}"]) == 0


def run_import(capsys, *flags):
    status = main.main(["import", *flags])
    return status, capsys.readouterr()


def test_the_next_command_keeps_ids_and_sides(tmp_path, capsys):
    tmp_path = tmp_path / "in a folder"
    save_images(tmp_path / "in", "a.jpg", "b.jpg")
    for name, image in (("t", "a.jpg"), ("v", "b.jpg")):
        save_json(tmp_path / "in" / f"{name}.json", [(1, image)], [(1, 9), (1, 5)], ((9, "apple"), (5, "pear")))
    flags = (f"--input={tmp_path}/in/t.json", f"--val_input={tmp_path}/in/v.json", f"--output_dir={tmp_path}/out")
    status, printed = run_import(capsys, "--from=coco", *flags)
    command = shlex.split(printed.out.strip().splitlines()[-1])
    assert status == 0 and command[:2] == ["tfodhelper", "convert"]
    assert main.main([*command[1:-1], f"--output_dir={tmp_path}/records"]) == 0
    assert ids_in(tmp_path / "records") == {"pear": 5, "apple": 9}
    lines = (tmp_path / "records" / "train.csv").read_text("utf-8").splitlines()
    assert {line.split(",")[0] for line in lines[1:]} == {"a.jpg"}


def test_no_next_command_without_an_image(tmp_path, capsys):
    save_images(tmp_path / "in", "a.jpg")
    path = save_table(tmp_path / "in" / "a.csv", "gone.jpg,64,48,cat,1,1,9,9")
    status, printed = run_import(capsys, "--from=csv", f"--input={path}", f"--output_dir={tmp_path}/out")
    assert status == 1 and "Next" not in printed.out


@pytest.mark.parametrize(
    ("format_", "flag"),
    [
        *(("yolo", "--val_input=a"), ("yolo", "--test_input=a"), ("records", "--image_dir=a")),
        *(("csv", "--classes=a"), ("coco", "--classes=a"), ("records", "--images=none")),
    ],
)
def test_a_flag_that_a_format_does_not_use_is_refused(tmp_path, capsys, format_, flag):
    status, printed = run_import(capsys, f"--from={format_}", "--input=x", flag, f"--output_dir={tmp_path}/out")
    assert status == 2 and f"{flag.split('=')[0]}" in printed.err and f"--from={format_}" in printed.err
