"""Measures exported models one after another and shows them side by side: the verb `benchmark`."""

import dataclasses
import json
import os
import pathlib

from tfodhelper import (
    child_process,
    console,
    environment,
    errors,
    provenance,
    result_folder,
    run_layout,
    sheets,
    storage,
)
from tfodhelper.benchmarking import measure
from tfodhelper.benchmarking.result import ModelFigures
from tfodhelper.config import label_maps
from tfodhelper.dataset import manifest as manifests
from tfodhelper.dataset.split.split import VALIDATE
from tfodhelper.prediction import saved_models
from tfodhelper.render import html

PAGE, TABLE, VALUES = "benchmark.html", "benchmark.csv", "benchmark.json"
_MIB = 1 << 20
_HEADER = ("model", "mAP", "mAP@.50IOU", "ms per image", "90 % below, ms", "memory, MiB", "size, MiB", "load, s")


def benchmark(options):
    """Measures models, prints the table and, if a folder is named, writes it.

    Args:
      options: `BenchmarkOptions`.

    Returns:
      List of `ModelFigures`, in the order of the models; those that could not be measured are left out, with a warning.

    Raises:
      UsageError, PredictionError, DatasetError, StorageError: a model or the images do not exist, or no model could be
        measured.
    """
    for model in options.models:
        saved_models.find_model(model)
    data = _find_data(options.data_dir)
    label_map = label_maps.find_label_map(options.label_map)
    maker = None
    if options.output_dir is not None:
        maker = provenance.of_command("benchmark", options, "output_dir", list(options.models))
        result_folder.check_free(options.output_dir, maker, fix="choose another --output_dir, or remove this one")
    measured, problems = [], []
    for model in options.models:
        with console.phase(f"benchmark {model}"):
            request = {
                "model": os.path.abspath(model if os.path.exists(model) else saved_models.find_model(model)),
                "process": os.getpid(),
                "label_map": None if label_map is None else os.path.abspath(label_map),
                "num_images": options.num_images,
                "trust_model": options.trust_model,
                **data,
            }
            answer = _run(request)
        if "error" in answer:
            problems.append(answer["error"])
            console.warn(f"{model}: could not be measured: {answer['error']}")
        else:
            measured.append(ModelFigures(str(model), measure.size_of(saved_models.find_model(model)), **answer))
    if not measured:
        raise errors.PredictionError("no model could be measured", received=problems[0].splitlines()[0])
    console.say("")
    console.say(console.format_table(_HEADER, _rows(measured), numbers=range(1, len(_HEADER))))
    console.say(_describe(measured))
    if options.output_dir is not None:
        with result_folder.whole_folder(options.output_dir, maker) as folder:
            _write(folder, measured)
        console.say(f"page: {options.output_dir}/{PAGE}")
    return measured


def _find_data(folder):
    """{"data_dir", "records"}: where the images are; a run or a conversion means its validation images."""
    if folder is None:
        return {"data_dir": None, "records": None}
    folder = pathlib.Path(folder)
    converted = folder / "data" if run_layout.is_run(folder) else folder
    if not (converted / manifests.NAME).is_file():
        if not folder.is_dir():
            raise errors.UsageError(f"--data_dir={folder}: no such folder", fix="name a folder with labelled images")
        return {"data_dir": os.path.abspath(folder), "records": None}
    pattern = manifests.read_manifest(converted).record_pattern(VALIDATE)
    if pattern is None:
        raise errors.DatasetError(f"{converted}: has no validation images", fix="convert with --val_fraction")
    return {"data_dir": None, "records": os.path.join(os.path.abspath(converted), pattern)}


def _run(request):
    """The answer of a process that measures one model."""
    lines, ending = child_process.run_module("benchmarking.measure", request)
    answers = [line for line in lines if line.startswith(measure.ANSWER)]
    if answers:
        return json.loads(answers[-1].removeprefix(measure.ANSWER))
    return {"error": ending or "its process gave no answer"}


def _rows(measured):
    return [
        (
            each.model,
            _number(each.mean_ap),
            _number(each.mean_ap_50),
            _number(each.image_ms, 1),
            _number(each.image_ms_90, 1),
            _number(each.memory_bytes and each.memory_bytes / _MIB, 0),
            _number(each.num_bytes / _MIB, 1),
            _number(each.load_s, 1),
        )
        for each in measured
    ]


def _number(value, digits=4):
    return "-" if value is None else f"{value:,.{digits}f}"


def _describe(measured):
    images = measured[0].num_images
    precision = f"precision on {images:,} images" if images else "precision was not measured: no --data_dir"
    return (
        f"{precision}; speed: median of {measured[0].num_timed:,} calls with one decoded image each, from image to "
        "detections, as `predict` makes them (a TFLite file runs on one core); memory: the most that the process "
        "of the model occupied, TensorFlow or LiteRT among it"
    )


def _write(folder, measured):
    storage.write_json(folder / VALUES, {"models": [dataclasses.asdict(each) for each in measured]})
    fields = [field.name for field in dataclasses.fields(ModelFigures)]
    sheets.write_csv(folder / TABLE, fields, [[getattr(each, name) for name in fields] for each in measured])
    html.write_page(
        folder / PAGE,
        "benchmark.html",
        title="Benchmark of models",
        places=[each.model for each in measured],
        links=[("figures", "figures"), ("environment", "environment")],
        header=_HEADER,
        rows=_rows(measured),
        note=_describe(measured),
        environment=list(environment.describe().items()),
    )
