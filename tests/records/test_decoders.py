"""Other programs can read our records: the Model Garden's decoder, and the feature specification of the OD API."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.dataset.scan.picture_set import save_image, save_pair
from tfodhelper.annotations import labelimg
from tfodhelper.annotations.structures import Annotation, Box
from tfodhelper.fields import Record
from tfodhelper.records import convert

BOXES = (Box("cat", 0, 0, 32, 24), Box("dog", 16.5, 12, 64, 48, difficult=True, truncated=True))


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    save_pair(folder / "data", "a", BOXES, seed=1)
    save_pair(folder / "data", "negative", [], seed=2)
    save_image(folder / "data" / "grey.png", format="PNG", mode="L", seed=3)
    labelimg.write_labelimg(folder / "data" / "grey.xml", Annotation("grey.png", 64, 48, BOXES[:1]))
    save_image(folder / "data" / "palette.jpg", format="PNG", mode="P", seed=4)
    labelimg.write_labelimg(folder / "data" / "palette.xml", Annotation("palette.jpg", 0, 0, BOXES[:1]))
    made = convert.convert(
        convert.ConvertOptions(data_dir=folder / "data", output_dir=folder / "out", val_fraction=0.0)
    )
    serialized = list(tf.data.TFRecordDataset([str(path) for path in made.train_shards]).as_numpy_iterator())
    by_name = {}
    for record in serialized:
        features = tf.train.Example.FromString(record).features.feature
        by_name[features[Record.FILENAME].bytes_list.value[0].decode()] = record
    return by_name


def test_the_model_garden_reads_them(records):
    from official.vision.dataloaders import tf_example_decoder

    decode = tf_example_decoder.TfExampleDecoder().decode
    decoded = {name: decode(record) for name, record in records.items()}
    assert set(decoded) == {"a.jpg", "negative.jpg", "grey.png", "palette.jpg"}
    for tensors in decoded.values():
        assert tensors["image"].shape == (48, 64, 3)
        assert (int(tensors["height"]), int(tensors["width"])) == (48, 64)
        assert int(tf.strings.to_number(tensors["source_id"], tf.int64)) in range(1, 5)
    a = decoded["a.jpg"]
    expected = [[0, 0, 0.5, 0.5], [0.25, 16.5 / 64, 1, 1]]
    np.testing.assert_allclose(a["groundtruth_boxes"], expected, rtol=0, atol=1e-7)
    np.testing.assert_array_equal(a["groundtruth_classes"], [1, 2])
    np.testing.assert_allclose(a["groundtruth_area"], [32 * 24, 47.5 * 36])
    np.testing.assert_array_equal(a["groundtruth_is_crowd"], [False, False])
    assert decoded["negative.jpg"]["groundtruth_boxes"].shape == (0, 4)


def test_the_features_of_the_object_detection_api(records):
    fixed = {name: tf.io.FixedLenFeature((), tf.string) for name in
             (Record.ENCODED, Record.FORMAT, Record.FILENAME, Record.KEY, Record.SOURCE_ID)}  # fmt: skip
    fixed |= {name: tf.io.FixedLenFeature((), tf.int64) for name in (Record.HEIGHT, Record.WIDTH)}
    rows = dict.fromkeys((Record.XMIN, Record.XMAX, Record.YMIN, Record.YMAX, Record.AREA, Record.WEIGHT), tf.float32)
    rows |= dict.fromkeys((Record.CLASS_LABEL, Record.DIFFICULT, Record.TRUNCATED, Record.IS_CROWD), tf.int64)
    rows |= dict.fromkeys((Record.CLASS_TEXT, Record.VIEW), tf.string)
    spec = fixed | {name: tf.io.RaggedFeature(dtype) for name, dtype in rows.items()}
    for name, record in records.items():
        parsed = tf.io.parse_single_example(record, spec)
        lengths = {int(tf.shape(parsed[row])[0]) for row in rows}
        assert lengths == {{"a.jpg": 2, "negative.jpg": 0}.get(name, 1)}
        decoder = {b"jpeg": tf.io.decode_jpeg, b"png": tf.io.decode_png}[parsed[Record.FORMAT].numpy()]
        assert decoder(parsed[Record.ENCODED], channels=3).shape == (48, 64, 3)
        magic = {b"jpeg": b"\xff\xd8", b"png": b"\x89P"}[parsed[Record.FORMAT].numpy()]
        assert parsed[Record.ENCODED].numpy().startswith(magic)


def test_pixels_of_a_palette_image_are_preserved(records):
    features = tf.train.Example.FromString(records["palette.jpg"]).features.feature
    encoded = features[Record.ENCODED].bytes_list.value[0]
    decoded = tf.io.decode_image(encoded, channels=3).numpy()
    np.testing.assert_array_equal(decoded, np.array(Image.open(io.BytesIO(encoded)).convert("RGB")))
    assert features[Record.FORMAT].bytes_list.value[0] == b"png"
