"""The command line: one verb, its flags, one exit status.

Modules of verbs are imported when they are needed; none of them imports TensorFlow at its top.
"""

import contextlib
import difflib
import importlib
import os
import signal
import sys
import traceback

from tfodhelper import errors, invocation, plain_text, storage, terminal, user_files
from tfodhelper.cli import surroundings
from tfodhelper.version import __version__

VERBS = {
    "run": ("tfodhelper.cli.run", "all in one: convert, config, train with evaluation, export"),
    "convert": ("tfodhelper.cli.convert", "images and LabelImg XML to records, label map, lists and a manifest"),
    "config": ("tfodhelper.cli.config", "write the pipeline.config of a model for a converted data set"),
    "zoo": ("tfodhelper.cli.zoo", "list the published models"),
    "train": ("tfodhelper.cli.train", "train by a pipeline.config, with evaluation"),
    "eval": ("tfodhelper.cli.eval", "evaluate the checkpoints of a training"),
    "export": ("tfodhelper.cli.export", "write a trained checkpoint as a SavedModel"),
    "predict": ("tfodhelper.cli.predict", "run a SavedModel on images: JSON lines, LabelImg XML, pictures"),
    "check": ("tfodhelper.cli.check", "look for faults in images and annotations"),
    "label": ("tfodhelper.cli.label", "label images in the browser: confirm, correct and draw boxes"),
    "explain": ("tfodhelper.cli.explain", "show why a detector finds what it finds: heat maps, boxes, filters"),
    "report": ("tfodhelper.cli.report", "write the page about a finished run again: figures, plots, worst images"),
    "compare": ("tfodhelper.cli.compare", "finished runs side by side: figures, curves, classes, settings"),
    "benchmark": ("tfodhelper.cli.benchmark", "exported models side by side: precision, speed, memory, size"),
    "active": ("tfodhelper.cli.active", "active learning: rounds that let the detector label a pool of images"),
    "import": ("tfodhelper.cli.import_annotations", "COCO JSON, YOLO text, CSV or TFRecords to LabelImg XML"),
    "export-annotations": ("tfodhelper.cli.export_annotations", "LabelImg XML to COCO JSON, YOLO text or CSV"),
    "stats": ("tfodhelper.cli.stats", "what a set looks like: classes, sizes, shapes, anchors, distances"),
    "split": ("tfodhelper.cli.split", "lists for training, validation and test, or for folds"),
    "doctor": ("tfodhelper.cli.doctor", "show versions, devices, memory and disk, and what is missing"),
}

_STATUS_BUG = 70
_STATUS_SIGNAL = 128  # and the number of the signal
_STATUS_BROKEN_PIPE = 141


def main(argv=None):
    """Runs one command line.

    Args:
      argv: strings after the program's name; those of the process when left out.

    Returns:
      The exit status: 0, 1 for a `TfodhelperError`, 2 for an invalid command line, 70 for a fault of this
      program, 130 after Ctrl-C, 143 and 129 after SIGTERM and SIGHUP.
    """
    if argv is not None:
        return _run(list(argv))
    with surroundings.prepared():
        return _run(sys.argv[1:])


def _run(argv):
    try:
        status = _dispatch(argv)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _STATUS_BROKEN_PIPE
    except KeyboardInterrupt as error:
        _say("\nstopped; the same command resumes from what is complete")
        return _STATUS_SIGNAL + getattr(error, "number", signal.SIGINT)
    except Exception as error:
        explained = explain(error)
        if explained is None:
            return _report_fault()
        _say(f"error: {explained}")
        return explained.exit_status


def explain(error):
    """The `TfodhelperError` for what is not a fault of this program; None for a fault."""
    if isinstance(error, errors.TfodhelperError):
        return error
    if isinstance(error, ModuleNotFoundError):
        return None if (error.name or "tfodhelper").split(".")[0] == "tfodhelper" else _explain_missing(error)
    if isinstance(error, MemoryError):
        return errors.StorageError(
            f"not enough memory ({error})" if str(error) else "not enough memory",
            fix="close other programs, or use --num_workers=1 or a smaller --batch_size where the verb has them",
        )
    if isinstance(error, OSError):
        return storage.explain_os_error(error, error.filename or "tfodhelper") if storage.is_refusal(error) else None
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None and isinstance(error, tensorflow.errors.OpError):
        return storage.explain_refusal_in(str(error.message))
    return None


def _say(text):
    terminal.write(plain_text.visible(invocation.as_typed(text)) + "\n", terminal.ERR)


def _report_fault():
    """Prints the exception that is being handled, with its traceback."""
    _say(traceback.format_exc().rstrip("\n"))
    _say("This is a fault of tfodhelper. Please report it with the lines above.")
    return _STATUS_BUG


def _explain_missing(error):
    return errors.TfodhelperError(
        f"the Python package {error.name!r} is not installed",
        fix="`tfodhelper doctor` says what is missing and the command that installs it",
    )


def _dispatch(argv):
    if not argv or argv[0] in ("--help", "-help", "-h", "help") and len(argv) == 1:
        print(_format_help(), end="")
        return 0 if argv else errors.UsageError.exit_status
    if argv[0] in ("--version", "-version", "version"):
        print(f"tfodhelper {__version__}")
        return 0
    if argv[0] == "help":
        argv = [argv[1], "--help"]
    return _run_verb(argv[0], argv[1:])


def _run_verb(verb, argv, verbs=VERBS):
    module = _load(verb, verbs)
    if hasattr(module, "VERBS"):
        return _run_part(verb, module, argv)
    try:
        from tfodhelper.cli import flagging
    except ModuleNotFoundError:
        if verb != "doctor":
            raise
        return module.report()
    fv = flagging.make_flag_values(module)
    before_end = argv[: argv.index("--")] if "--" in argv else argv
    if any(argument in ("--help", "-help", "-h") for argument in before_end):
        print(flagging.format_help(verb, module, fv), end="")
        return 0
    _check_paths(before_end)
    args = flagging.parse(fv, argv)
    return module.main(fv, args) or 0


def _check_paths(argv):
    """Raises if the current folder or the value of a flag is not valid text; `predict` reports such images itself."""
    with contextlib.suppress(FileNotFoundError):
        user_files.check_text(os.getcwd())
    for argument in argv:
        if argument.startswith("-"):
            user_files.check_text(argument.partition("=")[2])


def _run_part(verb, module, argv):
    """Runs a verb that has verbs of its own, as in `active round`."""
    parts = {f"{verb} {name}": entry for name, entry in module.VERBS.items()}
    if not argv or argv[0] in ("--help", "-help", "-h", "help"):
        print(_format_part_help(verb, module), end="")
        return 0 if argv else errors.UsageError.exit_status
    return _run_verb(f"{verb} {argv[0]}", argv[1:], parts)


def _load(verb, verbs):
    if verb not in verbs:
        first, _, last = verb.rpartition(" ")
        if last.startswith("-"):
            usage = " ".join(word for word in ("tfodhelper", first, "VERB --flags") if word)
            raise errors.UsageError(f"{last} comes before the verb", expected=usage)
        near = difflib.get_close_matches(verb, verbs, n=1, cutoff=0.5)
        raise errors.UsageError(
            f"unknown verb {verb!r}",
            expected="one of " + ", ".join(verbs),
            fix=f"did you mean {near[0]}?" if near else "`tfodhelper --help` says what each does",
        )
    return importlib.import_module(verbs[verb][0])


def _format_part_help(verb, module):
    summary, _, body = module.__doc__.strip().partition("\n")
    width = max(len(name) for name in module.VERBS)
    lines = [f"tfodhelper {verb}: {summary}", "", body.strip("\n"), "", "Verbs:"]
    lines += [f"  {verb} {name.ljust(width)}  {text}" for name, (_, text) in module.VERBS.items()]
    return "\n".join([*lines, "", f"`tfodhelper {verb} VERB --help` shows the flags of a verb."]) + "\n"


def _format_help():
    width = max(len(verb) for verb in VERBS)
    lines = [
        f"tfodhelper {__version__}: from a folder of labelled images to a trained, evaluated, exported",
        "TensorFlow object detector.",
        "",
        "Usage: tfodhelper VERB --flags      (or: python -m tfodhelper VERB --flags)",
        "",
        "Verbs:",
        *(f"  {verb.ljust(width)}  {summary}" for verb, (_, summary) in VERBS.items()),
        "",
        "`tfodhelper VERB --help` shows the flags of a verb. To begin:",
        "  tfodhelper run --data_dir=FOLDER --model=ssd_mobilenet_v1 --output_dir=runs/first",
    ]
    return "\n".join(lines) + "\n"
