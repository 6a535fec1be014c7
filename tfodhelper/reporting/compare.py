"""Runs side by side, their figures, curves, classes, and what differs in their settings: the verb `compare`."""

import dataclasses
import itertools
import json

from tfodhelper import console, errors, provenance, result_folder, sheets, storage
from tfodhelper.config import pipeline as pipelines
from tfodhelper.dataset import manifest as manifests
from tfodhelper.render import html
from tfodhelper.reporting import page, run_facts

PAGE, CURVES, FIGURES, CLASSES, DIFFERENCES = (
    "comparison.html",
    "curves.png",
    "figures.csv",
    "classes.csv",
    "differences.csv",
)
_TAG = "DetectionBoxes_Precision/"
_SUMMARY = {"AP75": "ap75", "precision": "precision", "recall": "recall", "F1": "f1", "threshold": "best_threshold"}
_OWN = "RUN"  # stands for the folder of a run in its own settings
_OF_PLACES = {"output_dir", "cache_dir", "num_workers"}


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Runs and what distinguishes them; None stands for what was not measured or does not exist.

    Attributes:
      labels: one for each run: its name, with its folder where two have the same.
      figures: {name: one value per run}.
      classes: {class: one AP50 per run}.
      differences: {setting or field: one text per run}.
      evaluations: one list per run, see `run_facts.RunFacts`.
      same_validation: whether all runs were measured on the same validation images.
    """

    labels: list
    figures: dict
    classes: dict
    differences: dict
    evaluations: list
    same_validation: bool


def compare(options):
    """Compares runs, prints the table and, if a folder is named, writes the page and its files.

    Args:
      options: `CompareOptions`.

    Returns:
      A `Comparison`.

    Raises:
      UsageError: fewer than two runs, or a folder that is not that of a finished run.
      StorageError, DatasetError: a file of a run is damaged; the folder of the results is not empty.
    """
    maker = None
    if options.output_dir is not None:
        maker = provenance.of_command("compare", options, "output_dir", list(options.runs))
        result_folder.check_free(options.output_dir, maker, fix="choose another --output_dir, or remove this one")
    compared = compare_runs([run_facts.read_run(folder) for folder in options.runs])
    _say(compared)
    if options.output_dir is not None:
        with result_folder.whole_folder(options.output_dir, maker) as folder:
            _write(folder, compared)
        console.say(f"page: {options.output_dir}/{PAGE}")
    return compared


def compare_runs(runs):
    """The `Comparison` of `run_facts.RunFacts`, in their order.

    Raises:
      UsageError: fewer than two.
    """
    if len(runs) < 2:
        raise errors.UsageError("compare needs at least two runs", received=len(runs), fix="name two run folders")
    return Comparison(
        labels=_label(runs),
        figures=_figures_of(runs),
        classes=_classes_of(runs),
        differences=_differences_of(runs),
        evaluations=[run.evaluations for run in runs],
        same_validation=len({_validation_of(run) for run in runs}) == 1,
    )


def _label(runs):
    names = [run.name for run in runs]
    return [run.name if names.count(run.name) == 1 else str(run.folder) for run in runs]


def _figures_of(runs):
    figures = {
        "mAP": [_of_best(run, "mAP") for run in runs],
        "mAP@.50IOU": [_of_best(run, "mAP@.50IOU") for run in runs],
    }
    for name, key in _SUMMARY.items():
        figures[name] = [None if run.analysis is None else run.analysis["summary"][key] for run in runs]
    figures["best step"] = [run.state["result"]["best"]["step"] for run in runs]
    figures["training, s"] = [run.state["phases"]["train"]["seconds"] for run in runs]
    figures["step, s"] = [run.state["result"].get("seconds_per_step") for run in runs]
    return figures


def _of_best(run, name):
    return run.best["metrics"].get(_TAG + name) if run.best else run.state["result"]["best"][name]


def _classes_of(runs):
    """{class: AP50 of each run}; a class that a run does not know has None there."""
    by_run = [{} if run.analysis is None else {e["name"]: e["ap50"] for e in run.analysis["per_class"]} for run in runs]
    names = dict.fromkeys(itertools.chain.from_iterable(by_run))
    return {name: [of_run.get(name) for of_run in by_run] for name in names}


def _differences_of(runs):
    """{setting or field: its value in each run} where runs differ; a field that is not set is "-"."""
    described = [
        {f"--{name}": value for name, value in run.settings.items() if name not in _OF_PLACES and name != "data"}
        | _without_own_folder(fields_of(pipelines.parse_pipeline(run.config, str(run.folder))), run.folder)
        for run in runs
    ]
    names = dict.fromkeys(itertools.chain.from_iterable(described))
    values = {name: [each.get(name) for each in described] for name in names}
    return {
        name: [_show(value) for value in of_name]
        for name, of_name in values.items()
        if any(value != of_name[0] for value in of_name)
    }


def _without_own_folder(fields, folder):
    """The fields with RUN in the place of the folder of the run, in whose paths runs would always differ."""
    names = {str(folder), str(folder.absolute()), str(folder.resolve())}
    return {
        path: next((_OWN + value[len(name) :] for name in names if value.startswith(name + "/")), value)
        if isinstance(value, str)
        else value
        for path, value in fields.items()
    }


def fields_of(message, prefix=""):
    """{path: value} of all fields that are set in a message, those of messages in it among them."""
    fields = {}
    for field, value in message.ListFields():
        path = f"{prefix}{field.name}"
        values = list(value) if pipelines.is_repeated(field) else [value]
        for number, each in enumerate(values):
            full = f"{path}[{number}]" if pipelines.is_repeated(field) else path
            if field.message_type is None:
                fields[full] = each
            elif not each.ListFields():
                fields[full] = "{}"
            else:
                fields |= fields_of(each, f"{full}.")
    return fields


def _show(value):
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _validation_of(run):
    """What identifies the validation images of a run: names and digests of all of them."""
    try:
        images = [(e["path"], e["sha256"]) for e in run.manifest.images if e["split"] == manifests.VALIDATE]
        return tuple(sorted(images))
    except (KeyError, TypeError) as error:
        raise errors.DatasetError(
            f"{run.data / manifests.NAME}: an image without what identifies it",
            expected='texts "path", "sha256" and "split" of each image',
            received=f"{type(error).__name__}: {error}",
            fix="restore the file from a copy, or convert the images again",
        ) from None


def _rows_of(compared):
    """Names of figures with the text of each run."""
    texts = {name: [_text(name, value) for value in values] for name, values in compared.figures.items()}
    return [[name, *values] for name, values in texts.items()]


def _text(name, value):
    if name == "best step" and value is not None:
        return f"{value:,}"
    return page.number(value, 1 if name == "training, s" else 3)


def _class_rows(compared):
    """Each class with its AP50 in each run, and the difference between the last and the first run."""
    rows = []
    for name, values in compared.classes.items():
        known = [value for value in (values[0], values[-1]) if value is not None]
        change = f"{values[-1] - values[0]:+.3f}" if len(known) == 2 else "-"
        rows.append([name, *(page.number(value) for value in values), change])
    return rows


def _say(compared):
    console.say(
        console.format_table(("", *compared.labels), _rows_of(compared), numbers=range(1, 1 + len(compared.labels)))
    )
    if compared.classes:
        console.say("")
        header = ("AP50", *compared.labels, "change")
        console.say(console.format_table(header, _class_rows(compared), numbers=range(1, 2 + len(compared.labels))))
    console.say("")
    if compared.differences:
        rows = [[name, *values] for name, values in compared.differences.items()]
        console.say(console.format_table(("differs", *compared.labels), rows))
    else:
        console.say("settings and configurations are the same")
    if not compared.same_validation:
        console.warn("the runs were measured on different validation images: their figures cannot be compared")


def _write(folder, compared):
    from tfodhelper.render import evaluation_plots, figures

    evaluations = list(zip(compared.labels, compared.evaluations))
    path = figures.save(folder / CURVES, evaluation_plots.plot_history(evaluations))
    sheets.write_csv(folder / FIGURES, ["figure", *compared.labels], [[n, *v] for n, v in compared.figures.items()])
    sheets.write_csv(folder / CLASSES, ["class", *compared.labels], [[n, *v] for n, v in compared.classes.items()])
    rows = [[name, *values] for name, values in compared.differences.items()]
    sheets.write_csv(folder / DIFFERENCES, ["setting", *compared.labels], rows)
    storage.write_json(folder / "comparison.json", dataclasses.asdict(compared))
    note = "AP50; the last column is the difference between the last and the first run."
    html.write_page(
        folder / PAGE,
        "comparison.html",
        title="Comparison of runs",
        places=compared.labels,
        links=[("figures", "figures"), ("curves", "curves"), ("classes", "classes"), ("differences", "what differs")],
        figures=page.Table(("", *compared.labels), _rows_of(compared)),
        curves=path.read_bytes(),
        classes=page.Table(("class", *compared.labels, "change"), _class_rows(compared), note),
        differences=page.Table(("setting or field", *compared.labels), rows),
        same_validation=compared.same_validation,
    )
