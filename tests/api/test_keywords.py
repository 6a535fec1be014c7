"""Functions whose keyword arguments are the fields of an options class."""

import dataclasses
import inspect
import typing

import pytest

import tfodhelper
from tfodhelper import errors, options
from tfodhelper.api import keywords
from tfodhelper.records.options import ConvertOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class PieOptions(options.Options):
    """How a pie is made.

    Attributes:
      oven: which oven bakes it,
        where there are several.
    """

    filling: str = options.option(
        options.REQUIRED, "What is in it.", choices={"apple": "sweet", "meat": "not so sweet"}
    )
    num_eggs: int = options.option(2, "Eggs; requires --stuff.", least=0, flag="eggs")
    size: str = options.option("small", "How large it is; see --eggs.", choices=("small", "large"))
    oven: int = 1


@keywords.takes_fields_of(PieOptions)
def bake(options: PieOptions) -> str:
    """Bakes a pie.

    Returns:
      What it is.
    """
    return f"{options.filling} {options.num_eggs} {options.size} {options.oven}"


def test_fields_are_keyword_arguments_with_their_defaults():
    assert bake(filling="apple") == "apple 2 small 1"
    assert bake(filling="meat", num_eggs=0, size="large", oven=2) == "meat 0 large 2"


def test_signature_and_hints_are_those_of_the_constructor():
    assert str(inspect.signature(bake)) == (
        "(*, filling: str, num_eggs: int = 2, size: str = 'small', oven: int = 1) -> str"
    )
    assert typing.get_type_hints(bake) == {"filling": str, "num_eggs": int, "size": str, "oven": int, "return": str}
    assert (bake.__name__, bake.__module__) == ("bake", __name__)


def test_the_docstring_describes_every_argument_before_what_is_returned():
    assert inspect.getdoc(bake) == inspect.cleandoc(
        """
        Bakes a pie.

        Args:
          filling: What is in it. "apple": sweet; "meat": not so sweet.
          num_eggs: Eggs; requires `stuff`.
          size: How large it is; see `num_eggs`. One of "small", "large".
          oven: Which oven bakes it, where there are several.

        Returns:
          What it is.
        """
    )


@pytest.mark.parametrize(
    ("doc", "expected"),
    [
        ("Bakes.", "Bakes.\n\nArgs:\n  x: X.\n"),
        ("Bakes.\n\nRaises:\n  E: no.", "Bakes.\n\nArgs:\n  x: X.\n\nRaises:\n  E: no."),
        ("Bakes.\n\nArgs:\n  y: Y.\n\nReturns:\n  Z.", "Bakes.\n\nArgs:\n  x: X.\n  y: Y.\n\nReturns:\n  Z."),
    ],
)
def test_where_the_arguments_stand_in_a_docstring(doc, expected):
    assert keywords._with_args(doc, "Args:\n  x: X.") == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((), {"filing": "apple"}), r"bake\(\) got an unexpected keyword argument 'filing'; did you mean 'filling'\?$"),
        (((), {"filling": "apple", "zzz": 1}), r"bake\(\) got an unexpected keyword argument 'zzz'$"),
        ((("apple",), {}), r"bake\(\) takes keyword arguments only, as in bake\(filling=\.\.\.\)$"),
        (((), {}), r"bake\(\) is missing filling$"),
    ],
)
def test_a_wrong_call_is_a_type_error_in_the_name_of_the_function(arguments, message):
    with pytest.raises(TypeError, match=message):
        bake(*arguments[0], **arguments[1])


@pytest.mark.parametrize("wrong", [{"filling": "fish"}, {"filling": "meat", "num_eggs": -1}, {"filling": 3}])
def test_a_wrong_value_is_an_error_of_this_program(wrong):
    with pytest.raises(errors.UsageError, match="expected: "):
        bake(**wrong)


def test_every_verb_has_the_options_of_its_class():
    shown = inspect.signature(tfodhelper.convert).parameters
    assert list(shown) == [field.name for field in dataclasses.fields(ConvertOptions)]
    with pytest.raises(TypeError, match=r"tfodhelper\.convert\(\) .*'datadir'; did you mean 'data_dir'"):
        tfodhelper.convert(datadir="photos", output_dir="data")
