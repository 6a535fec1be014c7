"""The schema is the published one, loads by itself, and lives beside another program's."""

import importlib.util
import pathlib
import subprocess
import sys

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, text_format

from tests.protos import facts
from tfodhelper import protos

FOLDER = pathlib.Path(protos.__file__).parent

# Of the schema in tensorflow/models, research/object_detection/protos (April 2023, the last that changed), made by the
# functions of `facts`: messages, fields, values of enums, and the digest of them all with ranges and defaults.
PUBLISHED = {"message": 166, "field": 854, "enum": 68}
PUBLISHED_DIGEST = "9b718dba7cd1eeaca3c87380acc041caa960712dad1eb9e0f67df68823fd0237"


@pytest.fixture(scope="module")
def files():
    """The compiled schema."""
    return descriptor_pb2.FileDescriptorSet.FromString((FOLDER / protos.DESCRIPTOR_SET).read_bytes())


def test_schema_has_every_fact_of_the_published_one(files):
    lines = facts.facts_of(files)
    counts = {kind: sum(line.startswith(kind + " ") for line in lines) for kind in PUBLISHED}
    assert counts == PUBLISHED
    assert facts.digest(lines) == PUBLISHED_DIGEST


def test_digest_sees_a_changed_number_and_a_changed_default(files):
    for change in ("number", "default_value"):
        other = descriptor_pb2.FileDescriptorSet()
        other.CopyFrom(files)
        field = next(
            field for file in other.file for m in file.message_type for field in m.field if field.default_value
        )
        setattr(field, change, 77 if change == "number" else "0.125")
        assert facts.digest(facts.facts_of(other)) != PUBLISHED_DIGEST


def test_compiled_schema_is_that_of_the_sources(files):
    pytest.importorskip("grpc_tools")
    path = FOLDER.parent.parent / "scripts" / "compile_protos.py"
    if not path.is_file():
        pytest.skip("needs a checkout")
    spec = importlib.util.spec_from_file_location("compile_protos", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    compiled = module.compile_protos()
    assert facts.facts_of(compiled) == facts.facts_of(files)
    assert [file.name for file in compiled.file] == [file.name for file in files.file]


def test_defaults_of_the_schema_apply():
    ssd = protos.message("Ssd")()
    assert ssd.add_background_class is True
    assert ssd.negative_class_weight == 1.0
    assert protos.message("TrainConfig")().batch_size == 32
    assert protos.message("SsdAnchorGenerator")().max_scale == pytest.approx(0.95)
    assert protos.message("EvalConfig")().groundtruth_box_visualization_color == "black"


def test_nested_messages_and_oneofs():
    assert protos.message("Ssd.MaskHead").DESCRIPTOR.full_name == "object_detection.protos.Ssd.MaskHead"
    model = protos.message("DetectionModel")()
    model.ssd.num_classes = 3
    assert model.WhichOneof("model") == "ssd"
    model.faster_rcnn.num_classes = 2
    assert not model.HasField("ssd")


def test_unknown_message_is_a_key_error():
    with pytest.raises(KeyError):
        protos.message("NoSuchMessage")


def test_every_message_can_be_made_and_printed():
    assert len(protos.message_names()) > 100
    for name in protos.message_names():
        assert text_format.MessageToString(protos.message(name)()) == ""


def test_wire_format_carries_published_numbers():
    item = protos.message("StringIntLabelMapItem")(name="a", id=5)
    assert item.SerializeToString() == b"\x0a\x01a\x10\x05"


def test_lives_beside_an_installed_schema_of_the_same_names():
    """A process whose default pool has other messages under our full names."""
    code = """
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
file = descriptor_pb2.FileDescriptorProto(name="object_detection/protos/label.proto", syntax="proto2")
file.package = "object_detection.protos"
message = file.message_type.add(name="StringIntLabelMap")
message.field.add(name="other", number=1, type=9, label=1)
descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
from tfodhelper import protos
ours = protos.message("StringIntLabelMap")
theirs = descriptor_pool.Default().FindMessageTypeByName("object_detection.protos.StringIntLabelMap")
assert [field.name for field in theirs.fields] == ["other"]
assert [field.name for field in ours.DESCRIPTOR.fields] == ["item"]
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=FOLDER.parent.parent, timeout=60)


def test_default_pool_is_left_alone():
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindMessageTypeByName("object_detection.protos.Ssd")
