"""The small detectors of all families of the table, and how they are built.

A new family adds `tests/models/NAME/cases.py`; a new model adds a row there.
"""

import importlib

import tf_keras
from google.protobuf import text_format

from tfodhelper import families, protos
from tfodhelper.models import build

CASES = {family.name: importlib.import_module(f"tests.models.{family.name}.cases").CASES for family in families.TABLE}
FAMILY_OF = {name: family for family, cases in CASES.items() for name in cases.variants}
ALL = list(FAMILY_OF)


def cases_of(name):
    """The `Cases` of a variant's family."""
    return CASES[FAMILY_OF[name]]


def parse_variant(name, **changes):
    """The DetectionModel message of a variant, with other pieces if they are given."""
    cases = cases_of(name)
    text = cases.text % {**cases.pieces, **cases.variants[name].pieces, **changes}
    return text_format.Merge(text, protos.message("DetectionModel")())


def build_variant(name, is_training=True, **changes):
    """A small detector; the same values each time."""
    tf_keras.utils.set_random_seed(1)
    with cases_of(name).make_small():
        return build.build_detector(parse_variant(name, **changes), is_training)
