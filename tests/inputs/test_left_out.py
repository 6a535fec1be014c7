"""Boxes that training leaves out are counted and named before the first step."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tests.inputs import examples
from tests.shared_data import shared
from tfodhelper import errors, protos
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.inputs import decoder, left_out, usable
from tfodhelper.records import labels, reader

PICTURE = examples.encode(np.zeros((8, 8, 3), np.uint8))
GOOD = (0.25, 0.25, 0.75, 0.5)
LABEL_MAP = label_maps.LabelMap(
    (label_maps.LabelMapItem(1, "bar"), label_maps.LabelMapItem(2, "disc"), label_maps.LabelMapItem(4, "ring", "Ring"))
)


def write(folder, *records):
    """A record file; each record is (boxes, labels, names), or serialized."""
    serialized = []
    for number, record in enumerate(records):
        if isinstance(record, tuple):
            boxes, ids, names = record
            more = {"class_text": [name.encode() for name in names]} if names else {}
            record = examples.make_example(PICTURE, boxes, ids, filename=f"{number}.jpg", **more)
        serialized.append(record)
    return examples.write_records(folder / "a.record", serialized)


def check(path, folder, label_map=LABEL_MAP, needs_boxes=True, max_boxes=None):
    message = protos.message("InputReader")(label_map_path=str(folder / "label_map.pbtxt"))
    message.tf_record_input_reader.input_path.append(str(path))
    return left_out.check_records(message, "train_input_reader", label_map, needs_boxes, max_boxes)


def refusal(path, folder, **options):
    with pytest.raises(errors.DatasetError) as caught:
        check(path, folder, **options)
    return str(caught.value)


def test_records_that_fit_say_nothing(tmp_path, capsys):
    path = write(tmp_path, ([GOOD] * 3, [1, 2, 4], ()), ([GOOD] * 2, [9, 9], ("Ring", "bar")), ([], [], ()))
    census = check(path, tmp_path)
    assert (census.num_records, census.num_boxes, census.num_usable, census.num_lost) == (3, 5, 5, 0)
    assert capsys.readouterr() == ("", "")


def test_names_of_another_case_are_an_error_with_a_suggestion(tmp_path):
    message = refusal(write(tmp_path, ([GOOD] * 2, [1, 2], ("BAR", "DISC"))), tmp_path)
    assert "none of 2 boxes can be used" in message
    assert "'BAR' with id 1 (1)" in message and "'DISC' with id 2 (1)" in message
    assert "'bar' (id 1), 'disc' (id 2), 'ring' (id 4)" in message
    assert "did you mean 'bar' instead of 'BAR', 'disc' instead of 'DISC'?" in message


def test_other_names_are_an_error_though_the_ids_fit(tmp_path):
    message = refusal(write(tmp_path, ([GOOD] * 2, [1, 2], ("raccoon", "raccoon"))), tmp_path)
    assert "'raccoon' with id 1 (1), 'raccoon' with id 2 (1)" in message
    assert "did you mean" not in message


def test_ids_from_0_are_a_warning_that_says_so(tmp_path, capsys):
    census = check(write(tmp_path, ([GOOD] * 2, [0, 1], ()), ([GOOD], [0], ())), tmp_path)
    assert (census.num_boxes, census.num_usable, census.num_emptied) == (3, 1, 1)
    warning = capsys.readouterr().err
    assert "2 of 3 boxes are left out; 1 image without any box left" in warning
    assert "id 0 (2)" in warning and "ids count from 1" in warning


def test_an_id_in_a_gap_of_the_label_map_belongs_to_no_class(tmp_path, capsys):
    census = check(write(tmp_path, ([GOOD] * 4, [1, 3, 5, -1], ())), tmp_path)
    assert (census.num_usable, sorted(census.unknown)) == (1, [(None, -1), (None, 3), (None, 5)])
    assert "3 of 4 boxes are left out" in capsys.readouterr().err


def test_pixels_in_place_of_fractions_are_an_error(tmp_path):
    message = refusal(write(tmp_path, ([(10.0, 20.0, 30.0, 40.0), (0.0, 0.0, 64.0, 48.0)], [1, 2], ())), tmp_path)
    assert "none of 2 boxes can be used" in message
    assert "not fractions of the image" in message
    assert "record 0 (from 0), '0.jpg': ymin 10, xmin 20, ymax 30, xmax 40" in message
    assert "x divided by its width" in message


def test_faulty_corners_among_good_ones_are_a_warning_with_counts(tmp_path, capsys):
    nan = (float("nan"), 0.1, 0.5, 0.5)
    boxes = [GOOD, nan, (0.5, 0.5, 0.2, 0.8), (0.2, 0.2, 0.2, 0.4), (0.0, 0.0, 50.0, 60.0), (30.0, 40.0, 50.0, 60.0)]
    census = check(write(tmp_path, (boxes, [1] * 6, ())), tmp_path)
    assert (census.num_usable, census.num_lost) == (1, 4)
    assert census.faults == dict.fromkeys((usable.NUMBER, usable.INVERTED, usable.AREA, usable.FAR, usable.FAR_AREA), 1)
    warning = capsys.readouterr().err
    for words in ("not a number", "wrong order", "no area inside", "clipped to it", "ymax 50, xmax 60"):
        assert words in warning


def test_a_box_that_reaches_a_little_beyond_the_image_is_clipped_without_a_word(tmp_path, capsys):
    assert check(write(tmp_path, ([(-0.2, 0.5, 0.5, 1.3)], [1], ())), tmp_path).num_usable == 1
    assert capsys.readouterr().err == ""


def test_records_without_boxes_cannot_be_trained_with_but_evaluated(tmp_path, capsys):
    path = write(tmp_path, ([], [], ()), ([], [], ()))
    assert "no record has a box" in refusal(path, tmp_path)
    assert check(path, tmp_path, needs_boxes=False).num_records == 2
    assert "mAP cannot be measured" in capsys.readouterr().err


def test_boxes_beyond_the_maximum_are_counted(tmp_path, capsys):
    path = write(tmp_path, ([GOOD] * 5, [1, 2, 9, 1, 2], ()), ([GOOD] * 2, [1, 2], ()))
    census = check(path, tmp_path, max_boxes=3)
    assert (census.num_usable, census.num_lost, census.faults[left_out.SURPLUS]) == (5, 2, 1)
    said = capsys.readouterr().err
    assert "1 box: more than max_number_of_boxes allows in an image (first in" in said and "'0.jpg': 5 boxes" in said
    assert check(path, tmp_path, max_boxes=4).faults[left_out.SURPLUS] == 0


def test_without_a_label_map_every_id_from_1_is_known(tmp_path, capsys):
    assert check(write(tmp_path, ([GOOD] * 3, [1, 77, 0], ("x",) * 3)), tmp_path, label_map=None).num_usable == 2
    assert "id 0 (1)" in capsys.readouterr().err


def test_lists_of_different_lengths_and_types_name_file_and_record(tmp_path):
    path = write(tmp_path, ([GOOD], [1], ()), examples.make_example(PICTURE, [GOOD], [1], class_text=[b"bar", b"disc"]))
    assert f"{path}: record 1 (from 0) cannot be used: its lists differ in length" in refusal(path, tmp_path)
    path = write(tmp_path, examples.make_example(PICTURE, [(1, 2, 3, 4)], [1]))
    assert "holds whole numbers instead of floating-point numbers" in refusal(path, tmp_path)


def test_a_flipped_bit_among_the_labels_is_named_by_file_and_record(tmp_path):
    path = pathlib.Path(write(tmp_path, ([GOOD], [1], ()), ([GOOD], [1], ("bar",))))
    content = bytearray(path.read_bytes())
    start, length = list(reader.iterate_spans(path))[1]
    content[content.index(b"image/object/bbox/xmax", start) - 1] ^= 0x40
    path.write_bytes(content)
    assert length and f"{path}: record 1 (from 0) is damaged" in refusal(path, tmp_path)


def test_of_many_records_an_even_part_is_counted_and_the_message_says_so(tmp_path, capsys):
    path = write(tmp_path, *[([GOOD], [1 + number % 2 * 8], ()) for number in range(9)])
    census = left_out.count_left_out([path], LABEL_MAP, most=4)
    assert (census.num_records, census.num_counted, census.num_lost) == (9, 3, 1)
    assert "counted in 3 of 9 records" in left_out._describe_some("x", census, "label_map.pbtxt", LABEL_MAP)


def test_the_count_is_what_the_decoder_does(tmp_path):
    """Random boxes and classes: the rules without TensorFlow are those of the decoder."""
    chance = np.random.default_rng(7)
    values = np.array([0.0, 0.3, 0.7, 1.0, -0.5, 1.5, 2.5, 40.0, -3.0, np.nan, np.inf, -np.inf], np.float32)
    names = ["bar", "disc", "Ring", "ring", "BAR", ""]
    for label_map in (LABEL_MAP, None):
        decode = decoder.Decoder(label_map).decode
        for _ in range(60):
            count = int(chance.integers(0, 6))
            boxes = chance.choice(values, (count, 4)).tolist()
            ids = chance.choice([-1, 0, 1, 2, 3, 4, 5, (1 << 32) + 1, -(1 << 63)], count).tolist()
            texts = [chance.choice(names).encode() for _ in range(count)] if chance.random() < 0.5 else []
            serialized = examples.make_example(PICTURE, boxes, ids, class_text=texts)
            sample, _ = decode(tf.constant(serialized))
            expected = usable.usable_classes(labels.read_labels(serialized, 0, len(serialized)), label_map)
            if label_map is not None:
                assert tuple(sample.classes.numpy()) == expected, (boxes, ids, texts)
            else:
                assert len(sample.classes) == len(expected)


@pytest.mark.parametrize("name, usable_boxes", [("case", 0), ("othername", 0), ("ids0", 7), ("ids2", 9)])  # of 16
def test_shared_records_that_do_not_fit_the_label_map(name, usable_boxes, tmp_path, capsys):
    folder = shared("cases/02-training-drops-all-boxes-silently")
    label_map = label_maps.read_label_map(folder / "label_map.pbtxt")
    path = folder / f"{name}.record"
    if not usable_boxes:
        assert "none of 16 boxes can be used" in refusal(path, tmp_path, label_map=label_map)
        return
    assert check(path, tmp_path, label_map=label_map).num_usable == usable_boxes
    assert f"{16 - usable_boxes} of 16 boxes are left out" in capsys.readouterr().err


def write_masked(folder, *records, kind=b"png"):
    """A record file; each record is weights of masks, one for each box, or a number of boxes without masks."""
    serialized = []
    for weights in records:
        count = weights if isinstance(weights, int) else len(weights)
        features = {} if isinstance(weights, int) else {"mask": [kind] * count, "mask_weight": weights}
        serialized.append(examples.make_example(PICTURE, [GOOD] * count, [1] * count, **features))
    return examples.write_records(folder / "a.record", serialized)


def check_masks(path, folder, needs_boxes=True, mask_type=2):
    message = protos.message("InputReader")(label_map_path=str(folder / "label_map.pbtxt"), mask_type=mask_type)
    message.tf_record_input_reader.input_path.append(str(path))
    return left_out.check_records(message, "train_input_reader", LABEL_MAP, needs_boxes, wants_masks=True)


def test_boxes_with_masks_say_nothing(tmp_path, capsys):
    census = check_masks(write_masked(tmp_path, [1.0, 1.0], [1.0]), tmp_path)
    assert census.num_masked == census.num_usable == 3
    numbers = check_masks(write_masked(tmp_path, [1.0], kind=1.0), tmp_path, mask_type=0)
    assert numbers.mask_types == {labels.NUMERICAL: 1}
    assert capsys.readouterr() == ("", "")


def test_a_model_of_masks_is_not_trained_with_boxes_alone(tmp_path):
    """The message says what to do, for a set of LabelImg, whose records have no masks, and for one of empty masks."""
    for records in ([3, 1], [[0.0, 0.0]]):
        with pytest.raises(errors.DatasetError) as caught:
            check_masks(write_masked(tmp_path, *records), tmp_path)
        message = str(caught.value)
        assert "train_input_reader" in message and "has one" in message and "labelme" in message
        assert "--boxes_as_masks" in message and "number_of_stages=2" in message


def test_some_boxes_without_masks_are_a_warning(tmp_path, capsys):
    census = check_masks(write_masked(tmp_path, [1.0, 0.0], 3), tmp_path)
    assert (census.num_masked, census.num_usable) == (1, 5)
    assert "4 of 5 boxes have no mask" in "".join(capsys.readouterr())


def test_validation_images_without_masks_are_a_warning(tmp_path, capsys):
    check_masks(write_masked(tmp_path, 2), tmp_path, needs_boxes=False)
    assert "masks cannot be judged" in "".join(capsys.readouterr())


def test_masks_that_are_kept_in_another_way_are_an_error(tmp_path):
    path = write_masked(tmp_path, [1.0])
    with pytest.raises(errors.DatasetError, match="train_input_reader.mask_type=PNG_MASKS"):
        check_masks(path, tmp_path, mask_type=0)
    with pytest.raises(errors.DatasetError, match="mask_type=NUMERICAL_MASKS"):
        check_masks(write_masked(tmp_path, [1.0], kind=1.0), tmp_path)


def test_masks_do_not_count_for_a_model_of_boxes(tmp_path, capsys):
    assert check(write_masked(tmp_path, 2), tmp_path).num_masked == 0
    assert capsys.readouterr() == ("", "")


def test_weights_of_masks_are_one_for_each_box(tmp_path):
    record = examples.make_example(PICTURE, [GOOD] * 2, [1, 1], mask=[b"png"] * 2, mask_weight=[1.0])
    assert "weights of masks 1" in refusal(examples.write_records(tmp_path / "a.record", [record]), tmp_path)
