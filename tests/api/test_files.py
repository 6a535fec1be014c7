"""Files through the public names; what they hold is tested where they are read."""

import pytest

import tfodhelper
from tfodhelper import errors


def test_an_annotation_comes_back(tmp_path):
    boxes = (tfodhelper.Box("cat", 1, 2, 30, 40), tfodhelper.Box("dog", 5.5, 6, 7, 8, difficult=True))
    annotation = tfodhelper.Annotation("a.jpg", 64, 48, boxes)
    tfodhelper.write_annotation(tmp_path / "a.xml", annotation)
    assert tfodhelper.read_annotation(tmp_path / "a.xml") == annotation
    assert f"<path>{tmp_path}/a.jpg</path>" in (tmp_path / "a.xml").read_text()
    tfodhelper.write_annotation(tmp_path / "a.xml", annotation, image_path="/photos/a.jpg")
    assert "<path>/photos/a.jpg</path>" in (tmp_path / "a.xml").read_text()


def test_a_label_map_comes_back_in_the_order_of_its_names(tmp_path):
    tfodhelper.write_label_map(tmp_path / "map.pbtxt", ["zebra", "ant"])
    label_map = tfodhelper.read_label_map(tmp_path / "map.pbtxt")
    assert [(item.id, item.name) for item in label_map] == [(1, "zebra"), (2, "ant")]
    tfodhelper.write_label_map(tmp_path / "again.pbtxt", label_map)
    assert tfodhelper.read_label_map(tmp_path / "again.pbtxt") == label_map


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "has no class"),
        (["cat", "cat"], "already has the id 1"),
        (["cat", ""], "has no name"),
        ("cat", "takes a LabelMap or a list of class names"),
    ],
)
def test_a_label_map_that_cannot_be(tmp_path, names, message):
    with pytest.raises(errors.AnnotationError, match=message):
        tfodhelper.write_label_map(tmp_path / "map.pbtxt", names)
    assert not list(tmp_path.iterdir())


def test_a_pipeline_comes_back_changed(tmp_path):
    (tmp_path / "pipeline.config").write_text("train_config { batch_size: 8 }")
    pipeline = tfodhelper.read_pipeline(tmp_path)
    pipeline.train_config.batch_size = 4
    tfodhelper.write_pipeline(tmp_path / "other.config", pipeline)
    assert tfodhelper.read_pipeline(tmp_path / "other.config").train_config.batch_size == 4


def test_models():
    model = tfodhelper.find_model("ssd_mobilenet_v1")
    assert model.trainable_here and model in tfodhelper.list_models("ssd mobilenet v1", trainable=True)
    trainable = tfodhelper.list_models(trainable=True)
    assert 0 < len(trainable) < len(tfodhelper.list_models())
    assert all(each.trainable_here for each in trainable)
    with pytest.raises(tfodhelper.TfodhelperError, match="did you mean"):
        tfodhelper.find_model("ssd_mobilnet_v1")
