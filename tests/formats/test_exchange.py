"""COCO JSON, YOLO labels and CSV: read, written, and through the verbs; nothing is lost silently."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dataset.scan.picture_set import save_image, save_pair, save_set
from tfodhelper import errors
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.annotations import labelimg, masks
from tfodhelper.annotations.structures import Annotation, Box
from tfodhelper.cli import main
from tfodhelper.dataset import placing
from tfodhelper.formats import box_table, coco, importing, yolo
from tfodhelper.formats.collection import ListedImage

NAMES = ("cat", "dog", "größe 2")


@st.composite
def make_listed(draw, whole=True):
    """One image with boxes in whole or fractional pixels."""
    number = st.integers(0, 5000) if whole else st.floats(0, 5000, allow_nan=False)
    boxes = []
    for _ in range(draw(st.integers(0, 4))):
        xs, ys = (sorted(float(draw(number)) for _ in range(2)) for _ in range(2))
        flags = {key: draw(st.booleans()) for key in ("difficult", "truncated")}
        boxes.append(Box(draw(st.sampled_from(NAMES)), xs[0], ys[0], xs[1], ys[1], **flags))
    size = draw(st.integers(1, 6000)), draw(st.integers(1, 6000))
    return ListedImage("sub/a b.jpg", Annotation("a b.jpg", *size, tuple(boxes), verified=draw(st.booleans())))


@given(make_listed())
def test_coco_reads_back_equal(tmp_path_factory, listed):
    path = tmp_path_factory.mktemp("coco") / "a.json"
    coco.write_coco(path, [listed], label_maps.make_label_map(NAMES))
    read = coco.read_coco(path)
    assert read.images == (listed,)
    assert read.class_ids == {"cat": 1, "dog": 2, "größe 2": 3} and not read.findings


@given(make_listed(whole=False))
def test_csv_reads_back_all_that_it_can_represent(tmp_path_factory, listed):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    box_table.write_table(path, [listed], with_empty=True)
    (image,) = box_table.read_table(path).images
    plain = [Box(b.name, b.xmin, b.ymin, b.xmax, b.ymax) for b in listed.annotation.boxes]
    assert image.name == listed.name and list(image.annotation.boxes) == plain
    assert (image.annotation.width, image.annotation.height) == (listed.annotation.width, listed.annotation.height)


@given(make_listed())
def test_yolo_reads_whole_pixels_back_exactly(listed):
    text = yolo.format_labels(listed.annotation, {name: i for i, name in enumerate(NAMES)})
    boxes, skipped = yolo.parse_labels(text, NAMES, listed.annotation.width, listed.annotation.height)
    assert boxes == [Box(b.name, b.xmin, b.ymin, b.xmax, b.ymax) for b in listed.annotation.boxes] and not skipped


def test_yolo_by_hand():
    text = "0 0.5 0.5 0.25 0.5\n\n1 0.1 0.1 0.2 0.2 0.99\n2 0 0 1 0 1 1 0.5 1\n7 0.5 0.5 1 1\n0 x 0 0 0\n0 .5 .5\n"
    boxes, skipped = yolo.parse_labels(text, NAMES, 200, 100)
    mask = masks.make_from_polygons([[0, 0, 200, 0, 200, 100, 100, 100]])
    outlined = Box("größe 2", 0, 0, 200, 100, mask=mask)
    assert boxes == [Box("cat", 75, 25, 125, 75), Box("dog", 0, 0, 40, 20), outlined]
    assert [(skip.code, skip.where) for skip in skipped] == [
        ("box-unnamed", "line 5"),
        ("box-not-a-number", "line 6"),
        ("box-not-a-number", "line 7"),
    ]


def write_coco_json(path, **changes):
    content = {
        "images": [
            {"id": 5, "file_name": "..\\..\\x\\a.jpg", "width": 64, "height": 48},
            {"id": 6, "file_name": "b.jpg"},
        ],
        "annotations": [
            {"id": 1, "image_id": 5, "category_id": 0, "bbox": [1, 2, 10.5, 20], "iscrowd": 1},
            {"id": 2, "image_id": 5, "category_id": 3, "segmentation": [[1, 1, 9, 2, 5, 30]]},
            {"id": 3, "image_id": 5, "category_id": 9, "bbox": [1, 2, 3, 4]},
            {"id": 4, "image_id": 99, "category_id": 0, "bbox": [1, 2, 3, 4]},
            {"id": 5, "image_id": 5, "category_id": 0, "bbox": [1, None, 3, 4]},
        ],
        "categories": [{"id": 0, "name": "cat"}, {"id": 3, "name": "dog"}],
    }
    path.write_text(json.dumps(content | changes), encoding="utf-8")
    return path


def test_coco_reports_what_it_cannot_import(tmp_path):
    read = coco.read_coco(write_coco_json(tmp_path / "a.json"))
    mask = masks.make_from_polygons([[1, 1, 9, 2, 5, 30]])
    boxes = Box("cat", 1, 2, 11.5, 22, difficult=True), Box("dog", 1, 1, 9, 30, mask=mask)
    assert read.images[0].annotation.boxes == boxes
    assert read.images[1].annotation == Annotation("b.jpg", None, None, ())
    assert [finding.code for finding in read.images[0].lost] == ["box-unnamed", "box-not-a-number"]
    assert read.class_ids == {"cat": 0, "dog": 3}
    assert sorted(finding.code for finding in read.findings) == [
        *("box-approximated", "crowd-as-difficult", "entry-unusable")
    ]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "[" * 100000, '{"images": 1, "annotations": [], "categories": []}', "\x00\xff"]
)
def test_files_that_are_not_coco_are_rejected(tmp_path, text):
    (tmp_path / "a.json").write_text(text, encoding="latin-1")
    with pytest.raises(errors.AnnotationError, match="a.json"):
        coco.read_coco(tmp_path / "a.json")


@given(st.binary(max_size=300))
def test_any_bytes_give_annotations_or_a_clear_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "a.csv"
    path.write_bytes(data)
    for read in (coco.read_coco, box_table.read_table, yolo.read_names):
        try:
            read(path)
        except errors.AnnotationError as error:
            assert "a.csv" in str(error)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.sampled_from([0, 1, "cat", "\ud800", "a\x00"]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)


def entries_of(*keys):
    return st.lists(st.dictionaries(st.sampled_from(keys), _JSON, max_size=len(keys)), max_size=3)


@given(
    entries_of("id", "file_name", "width", "height", "verified"),
    entries_of("id", "image_id", "category_id", "bbox", "segmentation", "iscrowd", "pose", "difficult"),
    entries_of("id", "name"),
)
def test_any_json_of_this_form_gives_annotations_that_can_be_written(tmp_path_factory, images, annotations, categories):
    folder = tmp_path_factory.mktemp("json")
    path = write_coco_json(folder / "a.json", images=images, annotations=annotations, categories=categories)
    read = coco.read_coco(path)
    for image in read.images:
        labelimg.write_labelimg(folder / "a.xml", image.annotation)
        labelimg.read_labelimg(folder / "a.xml")
    for finding in read.findings:
        finding.message.encode("utf-8")


def test_a_table_in_another_order_with_semicolons(tmp_path):
    text = (
        "\ufeffclass;filename;xmax;xmin;ymax;ymin\ndog;x\\a.jpg;9;1;8;2\n;a.jpg;;;;\ndog;;1;1;1;1\ndog;a.jpg;q;1;1;1\n"
    )
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    read = box_table.read_table(tmp_path / "a.csv")
    assert read.images[0] == ListedImage("x/a.jpg", Annotation("a.jpg", None, None, (Box("dog", 1, 2, 9, 8),)))
    assert read.images[1].annotation.boxes == ()
    assert [finding.code for finding in read.findings] == ["entry-unusable"]
    assert [finding.code for finding in read.images[1].lost] == ["box-not-a-number"]


def test_names_refer_only_to_images_inside_the_folder(tmp_path):
    save_image(tmp_path / "secret.jpg")
    save_image(tmp_path / "in" / "sub" / "a.jpg")
    (tmp_path / "in" / "t.csv").write_text(
        "filename,class,xmin,ymin,xmax,ymax\n../../sub/a.jpg,cat,1,1,9,9\n../secret.jpg,cat,1,1,9,9\n"
        f"{tmp_path}/secret.jpg,cat,1,1,9,9\n",
        encoding="utf-8",
    )
    made = importing.import_set("csv", {"train": [tmp_path / "in" / "t.csv"]}, tmp_path / "out", how=placing.COPY)
    files = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert files == ["sub/a.jpg", "sub/a.xml"]
    assert [finding.code for finding in made.findings] == ["image-missing", "image-missing"]


@given(st.text("./\\ab\0", max_size=12))
def test_no_name_leaves_the_folder(name):
    located, _ = importing.locate([ListedImage(name, Annotation("", None, None, ()))], ["a/b.jpg", "b"])
    assert all(existing in ("a/b.jpg", "b") for existing, _ in located)


def test_images_that_share_a_stem_keep_their_own_annotations(tmp_path):
    for ending in ("jpg", "jpeg"):
        save_image(tmp_path / "in" / f"a.{ending}", seed=len(ending))
    (tmp_path / "in" / "t.csv").write_text(
        "filename,class,xmin,ymin,xmax,ymax\na.jpg,cat,1,1,9,9\na.jpeg,dog,1,1,9,9\n", encoding="utf-8"
    )
    importing.import_set("csv", {"train": [tmp_path / "in" / "t.csv"]}, tmp_path / "out")
    assert labelimg.read_labelimg(tmp_path / "out" / "a.jpg.xml").boxes[0].name == "cat"
    assert labelimg.read_labelimg(tmp_path / "out" / "a.jpeg.xml").boxes[0].name == "dog"
    assert main.main(["check", f"--data_dir={tmp_path / 'out'}"]) == 0


@pytest.mark.parametrize("format_", ["coco", "yolo", "csv"])
def test_there_and_back_through_the_verbs(tmp_path, format_, capsys):
    folder = save_set(tmp_path / "data", ["cat", "dog"])
    save_pair(folder / "deep", "empty", [], seed=5)
    save_pair(folder / "deep", "half", [Box("cat", 1.5, 2, 30, 40, difficult=True)], seed=6)
    out, back = tmp_path / "out", tmp_path / "back"
    assert main.main(["export-annotations", f"--to={format_}", f"--data_dir={folder}", f"--output_dir={out}"]) == 0
    inputs = {
        "coco": [f"--input={out}/instances_train.json", f"--val_input={out}/instances_validate.json"],
        "yolo": [f"--input={out}/data.yaml"],
        "csv": [f"--input={out}/train.csv,{out}/train_negatives.csv", f"--val_input={out}/validate.csv"],
    }[format_]
    assert main.main(["import", f"--from={format_}", *inputs, f"--output_dir={back}"]) == 0
    assert main.main(["check", f"--data_dir={back}", f"--train_list={back}/train.txt", "--strict"]) == 0
    annotations = {path.stem.removeprefix("deep__"): labelimg.read_labelimg(path) for path in back.rglob("*.xml")}
    assert len(annotations) == 12 and annotations["empty"].boxes == ()
    assert annotations["half"].boxes == (Box("cat", 1.5, 2, 30, 40, difficult=format_ == "coco"),)
    assert annotations["cat_000"].boxes == (Box("cat", 4, 5, 30, 40),)
    assert (annotations["cat_000"].width, annotations["cat_000"].height) == (64, 48)


def test_missing_parts_of_a_yolo_dataset_are_reported(tmp_path):
    save_image(tmp_path / "images" / "a.jpg")
    save_image(tmp_path / "images" / "b.jpg", seed=1)
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n3 0.5 0.5 0.5 0.5\n", encoding="utf-8")
    (tmp_path / "labels" / "gone.txt").write_text("0 0.5 0.5 0.5 0.5\n", encoding="utf-8")
    with pytest.raises(errors.DatasetError, match="no file with class names was found"):
        importing.import_set("yolo", {"train": [tmp_path]}, tmp_path.parent / "out1")
    (tmp_path / "classes.txt").write_text("cat\ndog\n", encoding="utf-8")
    made = importing.import_set("yolo", {"train": [tmp_path]}, tmp_path.parent / "out2")
    assert [finding.code for finding in made.findings] == ["names-uncertain", "image-missing", "box-unnamed"]
    assert made.counts == {"cat": 1} and made.unlisted == ("images/b.jpg",)


def test_results_never_mix_with_the_originals(tmp_path):
    save_image(tmp_path / "a.jpg")
    (tmp_path / "t.csv").write_text("filename,class,xmin,ymin,xmax,ymax\na.jpg,c,1,1,9,9\n", encoding="utf-8")
    for folder in (tmp_path, tmp_path / "inside", tmp_path.parent):
        with pytest.raises(errors.DatasetError, match="apart|not empty|originals"):
            importing.import_set("csv", {"train": [tmp_path / "t.csv"]}, folder)
