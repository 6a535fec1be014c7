"""Every flag of every verb is used: it changes what the verb does, or is refused where it could not.

The first test reads the source of all verbs. The others run the verbs that need no model, and record which options are
read while the work is done: reads that only check, compare or store the options do not count.
"""

import ast
import functools
import pathlib
import sys

import numpy as np
import pytest

import tfodhelper
from tests.cli.test_flag_table import TABLE, flags_of, modules
from tests.dataset.scan.picture_set import save_pair, save_set
from tests.formats.record_files import make_record, write_records
from tests.formats.test_labelme import polygon_shape, save_pictures, save_shapes
from tfodhelper import options
from tfodhelper.annotations.structures import Box
from tfodhelper.cli import main

PACKAGE = pathlib.Path(tfodhelper.__file__).parent
# Functions that look at options without acting on them.
_MERE_LOOKS = ("check_early", "_check_options", "_check_split_by_folder", "_refuse_idle", "identity", "__post_init__")
_STORAGE = ("tfodhelper.options", "tfodhelper.provenance", "dataclasses")


def options_by_flag(verb):
    """{flag: Option} of a verb, without the aliases of former names."""
    fv = flags_of(verb)
    return {name: fv[name].option for name in fv if hasattr(fv[name], "option")}


@functools.cache
def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def reads_of(path):
    """Names of the attributes that a module reads, and of those that it picks by text, outside of mere looks."""
    names, waiting = set(), [parse(path)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef) and node.name in _MERE_LOOKS:
            continue
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            names.add(node.attr)
        waiting += ast.iter_child_nodes(node)
    return frozenset(names)


@functools.cache
def imports_of(path):
    """The modules of the package that a module imports, also inside functions."""
    names = set()
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    paths = {PACKAGE.parent / pathlib.Path(*name.split(".")).with_suffix(".py") for name in names if name}
    return frozenset(path for path in paths if path.is_file() and PACKAGE in path.parents)


def modules_behind(verb):
    """The modules that a verb can reach; the settings that `active init` stores are read by the other verbs of it."""
    verbs = [other for other in TABLE if other.startswith("active ")] if verb == "active init" else [verb]
    waiting, reached = [pathlib.Path(modules()[each].__file__) for each in verbs], set()
    while waiting:
        path = waiting.pop()
        if path not in reached:
            reached.add(path)
            waiting += imports_of(path)
    return reached


@pytest.mark.parametrize("verb", TABLE)
def test_the_program_reads_every_option_of_every_verb(verb):
    reads = frozenset().union(*(reads_of(path) for path in modules_behind(verb)))
    assert {option.name for option in options_by_flag(verb).values()} <= reads


@pytest.fixture
def reads(monkeypatch):
    """The names of the options that are read while a verb works."""
    names = set()

    def read(self, name):
        value = object.__getattribute__(self, name)
        if not name.startswith("_") and name != "title" and _is_work(sys._getframe(1)):
            names.add(name)
        return value

    monkeypatch.setattr(options.Options, "__getattribute__", read)
    return names


def _is_work(frame):
    while frame.f_code.co_name.startswith("<"):  # a comprehension belongs to the function around it
        frame = frame.f_back
    return frame.f_globals["__name__"] not in _STORAGE and frame.f_code.co_name not in _MERE_LOOKS


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with images and XML, what `export-annotations` makes of it, its records, and a conversion."""
    folder = tmp_path_factory.mktemp("data")
    save_set(folder / "set", ["cat", "dog"])
    save_pair(folder / "set", "empty", [], seed=5)
    for format_ in ("coco", "yolo", "csv", "labelstudio", "cvat"):
        flags = [f"--to={format_}", f"--data_dir={folder / 'set'}", f"--output_dir={folder / format_}"]
        assert main.main(["export-annotations", *flags]) == 0
    assert main.main(["convert", f"--data_dir={folder / 'set'}", f"--output_dir={folder / 'records'}"]) == 0
    write_records(folder / "a.record", make_record([Box("cat", 1, 1, 9, 9)]))
    save_shapes(folder / "labelme" / "cat_000.json", [polygon_shape("cat")])
    save_shapes(folder / "labelme" / "sub" / "dog_000.json", [polygon_shape("dog")])
    save_pictures(folder / "voc", "cat_000", np.eye(48, 64), np.eye(48, 64))
    (folder / "voc" / "names.txt").write_text("cat\n")
    return folder


def unread(verb, reads):
    """The options of a verb that nothing has read."""
    return sorted({option.name for option in options_by_flag(verb).values()} - reads)


IMPORTS = {
    "coco": "--input={0}/coco/instances_train.json --val_input={0}/coco/instances_validate.json --image_dir={0}/set",
    "csv": "--input={0}/csv/train.csv --test_input={0}/csv/validate.csv --image_dir={0}/set",
    "yolo": "--input={0}/yolo --image_dir={0}/yolo --classes={0}/yolo/data.yaml",
    "labelme": "--input={0}/labelme --val_input={0}/labelme/sub --image_dir={0}/set",
    "voc-masks": "--input={0}/voc --test_input={0}/voc --image_dir={0}/set --classes={0}/voc/names.txt",
    "labelstudio": "--input={0}/labelstudio/tasks_train.json --val_input={0}/labelstudio/tasks_validate.json "
    "--image_dir={0}/set",
    "cvat": "--input={0}/cvat/annotations_train.xml --test_input={0}/cvat/annotations_validate.xml --image_dir={0}/set",
    "records": "--input={0}/a.record --val_input={0}/records/*.record-* --classes={0}/records/label_map.pbtxt",
}
LIMITED = {
    "coco": {"classes"},
    "csv": {"classes"},
    "yolo": {"val_input", "test_input"},
    "labelme": {"classes"},
    "voc-masks": set(),
    "records": {"image_dir", "images"},
    "labelstudio": {"classes"},
    "cvat": {"classes"},
}


@pytest.mark.parametrize("format_", IMPORTS)
def test_import_uses_each_flag_or_refuses_it(data, tmp_path, reads, capsys, format_):
    flags = IMPORTS[format_].format(data).split()
    assert main.main(["import", f"--from={format_}", *flags, f"--output_dir={tmp_path / 'out'}"]) == 0
    assert set(unread("import", reads)) <= LIMITED[format_]
    for name in LIMITED[format_]:
        value = "none" if name == "images" else "x"
        argv = ["import", f"--from={format_}", "--input=x", f"--{name}={value}", f"--output_dir={tmp_path / 'no'}"]
        assert main.main(argv) == 2 and f"--{name}" in capsys.readouterr().err


# {verb: (flags, options that only another run of the same conversion reads)}
RUNS = {
    "check": (["--output_dir={1}", "--fix"], set()),
    "convert": (["--output_dir={1}"], {"shard", "update"}),
    "split": (["--output_dir={1}"], set()),
    "stats": (["--output_dir={1}"], set()),
    "export-annotations": (["--to=csv", "--output_dir={1}"], set()),
}


@pytest.mark.parametrize("verb", RUNS)
def test_verbs_on_a_set_read_all_of_their_options(data, tmp_path, reads, verb):
    flags, elsewhere = RUNS[verb]
    flags = [flag.format(data, tmp_path / "out") for flag in flags]
    assert main.main([verb, f"--data_dir={data / 'set'}", *flags]) == 0
    elsewhere |= {option.name for option in options_by_flag(verb).values() if option.only_with}  # refused without it
    assert set(unread(verb, reads)) <= elsewhere


def test_the_other_verbs_without_a_model_read_all_of_their_options(data, tmp_path, reads):
    runs = {
        "config": [f"--data_dir={data / 'records'}", "--model=ssd_mobilenet_v1", "--fine_tune_checkpoint=none"],
        "zoo": [],
        "doctor": [],
    }
    runs["config"].append(f"--output_dir={tmp_path / 'out'}")
    for verb, flags in runs.items():
        reads.clear()
        main.main([verb, *flags])
        assert unread(verb, reads) == []


def limited_options():
    """(verb, Option, another flag, whether the option needs it) of all options that depend on another."""
    for verb in TABLE:
        by_flag = options_by_flag(verb)
        by_name = {option.name: flag for flag, option in by_flag.items()}
        for option in by_flag.values():
            if option.only_with and option.only_with[0] in by_name:
                yield verb, option, by_name[option.only_with[0]], True
            for name in option.not_with:
                if name in by_name:
                    yield verb, option, by_name[name], False


def value_of(option):
    """A flag that gives an option a value which is not the default."""
    if option.kind == "bool":
        return f"--{option.flag}"
    defaults = option.default if isinstance(option.default, (list, tuple)) else [option.default]
    value = next((choice for choice in option.choices if choice not in defaults), None) or {
        "int": option.least or 1,
        "float": 0.5,
    }.get(option.kind, "x")
    return f"--{option.flag}={value}"


@pytest.mark.parametrize("verb", [verb for verb in TABLE if not verb.startswith("active ") or verb == "active report"])
def test_a_flag_that_would_have_no_effect_is_refused(verb, capsys):
    by_flag = options_by_flag(verb)
    required = [value_of(option) for option in by_flag.values() if option.is_required]
    for _, option, other, is_needed in [row for row in limited_options() if row[0] == verb]:
        given = [value_of(option)] if is_needed else [value_of(option), value_of(by_flag[other])]
        assert main.main([*verb.split(), *required, *given]) == 2
        printed = capsys.readouterr().err
        assert f"--{option.flag} " in printed and f"--{other}" in printed


def test_there_are_options_that_depend_on_others():
    assert {row[1].name for row in limited_options()} >= {"tpu_address", "val_fraction", "num_folds", "input_size"}
