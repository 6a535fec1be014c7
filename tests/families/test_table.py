"""The rows of the table: what they say of the messages that they are asked about; without TensorFlow."""

import subprocess
import sys

import pytest

from tests.shared_data import REPOSITORY
from tfodhelper import errors, families, protos
from tfodhelper.config import pipeline
from tfodhelper.families import roles
from tfodhelper.zoo import base_configs

EACH_FAMILY = pytest.mark.parametrize("family", families.TABLE, ids=lambda family: family.name)


def make_model(family, **fields):
    """A DetectionModel message that holds a family."""
    model = protos.message("DetectionModel")()
    architecture = family.architecture(model)
    architecture.SetInParent()
    for name, value in fields.items():
        setattr(architecture, name, value)
    return model


def fields_below(descriptor, seen=()):
    """Names of all fields of a message and of those in it."""
    for field in descriptor.fields:
        yield field.name
        if field.message_type is not None and field.message_type.full_name not in seen:
            yield from fields_below(field.message_type, (*seen, descriptor.full_name))


@EACH_FAMILY
def test_a_row_names_what_its_message_has(family):
    model = make_model(family)
    assert families.family_of(model) is family and families.architecture_of(model) is family.architecture(model)
    architecture = family.architecture(model)
    assert hasattr(architecture, "num_classes") and hasattr(architecture, "image_resizer")
    assert family.training_fields <= set(fields_below(architecture.DESCRIPTOR))
    assert set(family.memory_settings(model)) <= set(architecture.DESCRIPTOR.fields_by_name)
    assert family.default_batch_size(model) >= 1
    assert family.loss_terms(model) and all(name.startswith("Loss/") for name in family.loss_terms(model))
    assert family.outputs(model) <= {families.BOXES, families.PROPOSALS}


@EACH_FAMILY
def test_batch_norm_is_frozen_and_freed(family):
    model = make_model(family)
    for frozen in (True, False):
        family.set_batch_norm(model, frozen)
    freed = type(model).FromString(model.SerializeToString())
    assert family.set_batch_norm(model, frozen=True) and model != freed
    assert not family.set_batch_norm(model, frozen=True)
    assert family.set_batch_norm(model, frozen=False) and model == freed


def test_names_are_fields_of_the_schema_and_unique():
    oneof = protos.message("DetectionModel").DESCRIPTOR.oneofs_by_name["model"]
    assert set(families.names()) <= {field.name for field in oneof.fields}
    assert len(set(families.names())) == len(families.names())


def test_each_base_configuration_is_of_a_family():
    for name in base_configs.base_names():
        assert families.family_of(read(name).model).name in families.names()


def read(name):
    return pipeline.read_pipeline(base_configs.base_pipeline_path(name))


@pytest.mark.parametrize(
    ("stages", "num_terms", "outputs", "num_settings"),
    [(1, 2, {families.PROPOSALS}, 0), (2, 4, {families.BOXES, families.PROPOSALS}, 2)],
)
def test_two_stages_have_more_to_tell_than_one(stages, num_terms, outputs, num_settings):
    model = read("faster_rcnn_resnet50_coco_2018_01_28").model
    model.faster_rcnn.number_of_stages = stages
    family = families.family_of(model)
    assert len(family.loss_terms(model)) == num_terms
    assert family.outputs(model) == outputs
    assert len(family.memory_settings(model)) == num_settings


@pytest.mark.parametrize(("text", "received"), [("center_net {}", "center_net"), ("", "nothing")])
def test_a_model_without_a_family_is_an_error_that_lists_the_known_ones(text, received):
    model = pipeline.parse_pipeline(f"model {{ {text} }}").model
    assert families.find_family(model) is None
    with pytest.raises(errors.ConfigError) as caught:
        families.family_of(model)
    assert caught.value.received == received and caught.value.expected == "one of faster_rcnn, ssd"


def test_types_of_checkpoints_fill_more_and_more():
    classification, detection, full = roles.CHECKPOINT_TYPES.values()
    assert classification < detection < full == roles.ALL
    with pytest.raises(errors.ConfigError) as caught:
        roles.restored_by("everything")
    assert caught.value.received == "everything" and "classification" in caught.value.expected


def test_tensorflow_is_not_needed():
    code = "import sys; sys.modules['tensorflow'] = None\nfrom tfodhelper import families\nprint(families.names())"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.stdout == f"{families.names()}\n", done.stderr
