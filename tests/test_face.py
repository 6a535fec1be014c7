"""What `import tfodhelper` gives: its names, what they cost, and that they are typed and documented."""

import ast
import dataclasses
import importlib
import inspect
import os
import pathlib
import pkgutil
import re
import subprocess
import sys
import types
import typing

import pytest

import tfodhelper
from tests.shared_data import REPOSITORY

pytestmark = pytest.mark.slow

NAMES = sorted(set(tfodhelper.__all__) - {"__version__"})


def run_python(code, *flags, **environment):
    """Runs lines of Python in a process of its own; returns what it printed, and its errors."""
    command = [sys.executable, *flags, "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), **environment}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_importing_it_imports_nothing_but_the_standard_library():
    code = "import sys; before = set(sys.modules); import tfodhelper; print(*sorted(set(sys.modules) - before))"
    imported = run_python(code)[0].split()
    assert "tfodhelper" in imported
    own = [name for name in imported if name.split(".")[0] not in sys.stdlib_module_names]
    assert own == ["tfodhelper", "tfodhelper.version"]


def test_importing_it_costs_nothing():
    times = []
    for _ in range(3):
        log = run_python("import importlib, typing, tfodhelper", "-X", "importtime")[1]
        (own, whole) = re.search(r"import time:\s+(\d+) \|\s+(\d+) \| tfodhelper$", log, re.MULTILINE).groups()
        times.append(int(whole))
        assert set(re.findall(r"tfodhelper\.[\w.]+", log)) == {"tfodhelper.version"}
    assert min(times) < 20_000, times  # microseconds; pandas alone takes twenty times as long


@pytest.mark.parametrize("name", NAMES)
def test_a_name_needs_no_tensorflow_until_it_works(name):
    code = f"import sys; sys.modules['tensorflow'] = None; import tfodhelper; print(callable(tfodhelper.{name}))"
    assert run_python(code)[0] == "True\n"


def test_no_submodule_takes_the_place_of_a_name():
    code = """
import importlib, pkgutil, sys, types
import tfodhelper
public = {name: getattr(tfodhelper, name) for name in tfodhelper.__all__}
failed = []
for module in pkgutil.walk_packages(tfodhelper.__path__, "tfodhelper."):
    if module.name == "tfodhelper.__main__":
        continue
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        failed.append(error.name)
assert set(failed) <= {"apache_beam"}, failed
changed = [name for name in public if getattr(tfodhelper, name) is not public[name]]
shadowing = [name for name in public if f"tfodhelper.{name}" in sys.modules]
assert not changed and not shadowing, (changed, shadowing)
fresh = [name for name in public if isinstance(getattr(tfodhelper, name), types.ModuleType)]
assert not fresh, fresh
print("tfodhelper.training.loop" in sys.modules)
"""
    assert run_python(code, TF_CPP_MIN_LOG_LEVEL="3")[0].splitlines()[-1] == "True"


def test_no_module_has_the_name_of_a_public_one():
    """In whatever order things are imported: `import tfodhelper.NAME` would put the module in its place."""
    modules = {module.name for module in pkgutil.iter_modules(tfodhelper.__path__)}
    assert not modules & set(tfodhelper.__all__)


def test_names_are_listed_and_found():
    assert set(tfodhelper.__all__) <= set(dir(tfodhelper))
    assert len(set(tfodhelper.__all__)) == len(tfodhelper.__all__)
    namespace = {}
    exec("from tfodhelper import *", namespace)
    assert set(tfodhelper.__all__) <= set(namespace)
    assert tfodhelper.run is importlib.import_module("tfodhelper.api.jobs").run
    with pytest.raises(AttributeError, match="module 'tfodhelper' has no attribute 'runs'"):
        tfodhelper.runs  # noqa: B018
    assert not hasattr(tfodhelper, "__wrapped__")


def test_type_checkers_see_the_names_that_there_are():
    """`X as X` is what makes a name public for them."""
    tree = ast.parse(pathlib.Path(tfodhelper.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    seen = {(alias.asname, node.module) for node in block.body for alias in node.names if alias.name == alias.asname}
    assert len(seen) == len(block.body)
    assert seen == {(name, f"tfodhelper.{module}") for name, module in tfodhelper._MODULES.items()}
    assert (pathlib.Path(tfodhelper.__file__).parent / "py.typed").is_file()


@pytest.mark.parametrize("name", NAMES)
def test_it_is_defined_where_it_says(name):
    value = getattr(tfodhelper, name)
    assert (value.__module__, value.__name__) == (f"tfodhelper.{tfodhelper._MODULES[name]}", name)


def classes_in(hint):
    """The classes of this package in a type hint."""
    for part in (hint, *typing.get_args(hint)):
        if isinstance(part, type) and not typing.get_args(part) and part.__module__.startswith("tfodhelper"):
            yield part
        elif part is not hint:
            yield from classes_in(part)


def hinted(value):
    """Type hints of a function, after a check that it hints and documents everything."""
    signature, hints = inspect.signature(value), typing.get_type_hints(value)
    assert inspect.getdoc(value), value
    parameters = [each for each in signature.parameters if each not in ("self", "cls")]
    assert set(hints) == {*parameters, "return"}, value
    return hints


def public_members(kind):
    """(name, function) of the public methods and properties of a class, and its constructor."""
    for base in kind.__mro__:
        if not base.__module__.startswith("tfodhelper"):
            continue
        for name, member in vars(base).items():
            if isinstance(member, property):
                yield name, member.fget
            elif isinstance(member, types.FunctionType) and not name.startswith("_"):
                yield name, member
    is_made_for_it = dataclasses.is_dataclass(kind) or getattr(kind, "_is_protocol", False)
    if "__init__" in vars(kind) and not is_made_for_it:
        yield "__init__", kind.__init__


def check_class(kind):
    """Checks a class of the surface; returns the hints of all that it shows."""
    assert inspect.getdoc(kind), kind
    hints = []
    if dataclasses.is_dataclass(kind) or issubclass(kind, tuple):
        fields = {name: hint for name, hint in typing.get_type_hints(kind).items() if not name.startswith("_")}
        assert fields, kind
        for name in fields:
            text = "\n".join(inspect.getdoc(base) or "" for base in kind.__mro__ if base is not object)
            assert re.search(rf"\b{name}\b", text), f"{kind.__name__}.{name} is not documented"
        hints += fields.values()
    for name, function in public_members(kind):
        found = typing.get_type_hints(function)
        parameters = [each for each in inspect.signature(function).parameters if each not in ("self", "cls")]
        assert set(found) == {*parameters, "return"}, f"{kind.__name__}.{name} lacks type hints"
        assert name == "__init__" or inspect.getdoc(function), f"{kind.__name__}.{name} has no docstring"
        hints += found.values()
    return hints


def test_the_surface_is_typed_and_documented_as_far_as_one_can_see():
    """Public functions and classes, and all classes of this package that their hints lead to."""
    waiting, seen, num_functions = [getattr(tfodhelper, name) for name in NAMES], set(), 0
    while waiting:
        value = waiting.pop()
        if value in seen:
            continue
        seen.add(value)
        if isinstance(value, type):
            hints = check_class(value)
        else:
            hints = hinted(value).values()
            num_functions += 1
        waiting += [kind for hint in hints for kind in classes_in(hint)]
    names = {value.__name__ for value in seen if isinstance(value, type)}
    assert {"Predictor", "Prediction", "RunResult", "Evaluation", "LabelMapItem", "ZooModel", "Finding"} <= names
    assert num_functions >= 19


@pytest.mark.parametrize("name", [name for name in NAMES if not isinstance(getattr(tfodhelper, name), type)])
def test_every_argument_of_a_function_is_explained(name):
    value = getattr(tfodhelper, name)
    doc = inspect.getdoc(value)
    for parameter in inspect.signature(value).parameters:
        is_path_alone = parameter == "path" and len(inspect.signature(value).parameters) == 1
        assert is_path_alone or re.search(rf"^  (\w+, )*{parameter}(, \w+)*: ", doc, re.MULTILINE), parameter


def test_errors_have_one_base():
    from tfodhelper import errors

    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(kinds) > 5 and all(issubclass(kind, tfodhelper.TfodhelperError) for kind in kinds)


_USER = """
import collections.abc
import pathlib

import tfodhelper

result = tfodhelper.run(data_dir="photos", model="ssd_mobilenet_v1", output_dir="runs/first", num_steps=500)
tfodhelper.run(data_dir=pathlib.Path("photos"), overrides=["train_config.batch_size=4"])
detector = tfodhelper.Predictor(result)
for prediction in detector.predict_folder(pathlib.Path("photos")):
    names: list[str] = [detection.name for detection in prediction]
    prediction.draw("out.jpg").resize((3, 4))


class Mine:
    name = "mine"

    def ask(
        self, questions: collections.abc.Iterable[tfodhelper.Question], folder: pathlib.Path
    ) -> collections.abc.Iterator[tfodhelper.Answer]:
        for question in questions:
            found = question.prediction.found.to_annotation(0.5)
            yield tfodhelper.Answer(question.image.name, "adopted", found)


tfodhelper.run_rounds("growing", oracle=Mine())
"""
_MISTAKES = {
    'tfodhelper.run(datadir="photos")': 'Unexpected keyword argument "datadir"',
    'tfodhelper.run(num_steps="many")': 'Argument "num_steps" to "run" has incompatible type',
    'tfodhelper.convert("photos")': "Too many positional arguments",
    'tfodhelper.Predictor("x").predict(3)': 'Argument 1 to "predict" of "Predictor" has incompatible type',
    'tfodhelper.run_rounds("growing", until="later")': 'Argument "until" to "run_rounds" has incompatible type',
    "tfodhelper.nothing": 'Module has no attribute "nothing"',
    "result.folder.nothing": '"Path" has no attribute "nothing"',
    "result.best.step": 'Item "None" of "Evaluation | None" has no attribute "step"',
}


def test_a_type_checker_accepts_what_is_right_and_finds_what_is_wrong(tmp_path):
    pytest.importorskip("mypy", reason="needs mypy")
    (tmp_path / "user.py").write_text(_USER + "\n".join(_MISTAKES) + "\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--no-error-summary"]
    environment = {**os.environ, "MYPYPATH": str(REPOSITORY)}
    done = subprocess.run(
        [*command, f"--cache-dir={tmp_path}/cache", "user.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    found = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert len(found) == len(_MISTAKES), done.stdout + done.stderr
    first = _USER.count("\n") + 1
    for number, (line, message) in enumerate(zip(found, _MISTAKES.values()), start=first):
        assert line.startswith(f"user.py:{number}: ") and message in line, line


def test_the_surface_itself_is_strictly_typed():
    pytest.importorskip("mypy", reason="needs mypy")
    command = [sys.executable, "-m", "mypy", "--strict", "--allow-untyped-calls", "--follow-imports=silent"]
    command += ["--cache-dir", os.devnull, "tfodhelper/__init__.py", "tfodhelper/api"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
