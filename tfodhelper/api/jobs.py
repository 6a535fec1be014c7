"""The verbs of the command line as functions, whose keyword arguments are the options of the verbs."""

import dataclasses
import math
import pathlib
from collections.abc import Mapping
from typing import Any

from tfodhelper import errors, run_folder, run_layout, tensorflow_setup
from tfodhelper.api.keywords import takes_fields_of
from tfodhelper.api.results import (
    CheckResult,
    Evaluation,
    ExplainResult,
    LabelResult,
    RunComparison,
    RunResult,
    TrainResult,
)
from tfodhelper.benchmarking.options import BenchmarkOptions
from tfodhelper.benchmarking.result import ModelFigures
from tfodhelper.config.options import WriteConfigOptions
from tfodhelper.evaluation_options import EvalOptions
from tfodhelper.explaining.options import ExplainOptions
from tfodhelper.exporting.options import ExportOptions
from tfodhelper.labelling.options import LabelOptions
from tfodhelper.records.options import ConvertOptions
from tfodhelper.records.result import ConvertResult
from tfodhelper.reporting.options import CompareOptions, ReportOptions
from tfodhelper.review.options import ReviewOptions
from tfodhelper.run_options import RunOptions
from tfodhelper.training.options import TrainJobOptions


@takes_fields_of(RunOptions)
def run(options: RunOptions) -> RunResult:
    """Turns a folder of labelled images into a trained, evaluated and exported detector.

        result = tfodhelper.run(data_dir="photos", model="ssd_mobilenet_v1", output_dir="runs/first", num_steps=500)
        detector = tfodhelper.Predictor(result)

    Converts the images, writes the pipeline.config, trains with evaluation, and exports the best and the last
    checkpoint. The same call resumes a run that was interrupted; nothing is ever overwritten.

    Returns:
      A `RunResult`: the run folder, its exports, and the best and the last evaluation.

    Raises:
      TfodhelperError: says what is wrong; finished phases are kept.
    """
    folder = run_folder.run(options)
    result = run_folder.read_result(folder)
    return RunResult(
        folder=pathlib.Path(folder),
        best=_to_evaluation(result["best"]) if result else None,
        last=_to_evaluation(result["last"]) if result else None,
        seconds_per_step=result["seconds_per_step"] if result else None,
        ended=result["ended"] if result else None,
    )


@takes_fields_of(ConvertOptions)
def convert(options: ConvertOptions) -> ConvertResult | None:
    """Converts images with LabelImg XML to sharded TFRecords, a label map, lists and a manifest.

        result = tfodhelper.convert(data_dir="photos", output_dir="data", val_fraction=0.2)
        print(result.num_train, result.num_validate, result.label_map.names)

    A folder that was already converted from the same input is used as it is.

    Returns:
      A `ConvertResult` with paths and counts; None for one of several jobs (`shard`) while others have not finished.

    Raises:
      TfodhelperError: input that cannot be used, a disk that is full, a folder that cannot be written.
    """
    from tfodhelper.records import convert as records

    result: ConvertResult | None = records.convert(options)
    return result


@takes_fields_of(WriteConfigOptions)
def make_pipeline(options: WriteConfigOptions) -> pathlib.Path:
    """Writes the pipeline.config of a model, filled in for images that `convert` has converted.

    Returns:
      Path of the pipeline.config, which `train` takes.

    Raises:
      TfodhelperError: a model, a field or a checkpoint that does not exist; a file that exists with other content.
    """
    from tfodhelper.config import configuration
    from tfodhelper.training import batch_size

    path: pathlib.Path = configuration.write_config(options, batch_size.find_batch_size)
    return path


@takes_fields_of(TrainJobOptions)
def train(options: TrainJobOptions) -> TrainResult:
    """Trains as a pipeline.config says, with evaluation every few steps. The same call resumes after an interruption.

    Returns:
      A `TrainResult`: the checkpoints, and the best and the last evaluation.

    Raises:
      TfodhelperError: a configuration, a checkpoint or records that cannot be used; too little memory.
    """
    tensorflow_setup.prepare_training()
    from tfodhelper.training import jobs

    result = jobs.train(options)
    best = result.history.best()
    return TrainResult(
        folder=pathlib.Path(options.model_dir),
        step=result.step,
        best=_to_evaluation(best) if best else None,
        last=_to_evaluation(result.history.records[-1]),
        best_checkpoint=result.best_checkpoint,
        last_checkpoint=result.last_checkpoint,
        seconds_per_step=result.seconds_per_step,
        ended=result.ended,
    )


@takes_fields_of(EvalOptions)
def evaluate(options: EvalOptions) -> Evaluation:
    """Evaluates a checkpoint of a training on the validation images, or an exported model on any labelled images.

        evaluation = tfodhelper.evaluate(
            model_dir="runs/first/checkpoints", pipeline_config_path="runs/first/pipeline.config"
        )
        print(evaluation.step, evaluation.mean_ap_50)
        deployed = tfodhelper.evaluate(saved_model_dir="exported", data_dir="photos")
        print(deployed.mean_ap_50, deployed.analysis["summary"]["best_threshold"])

    Returns:
      The `Evaluation`; with `eval_timeout`, the last one.

    Raises:
      TfodhelperError: a configuration, a checkpoint, a model or records that cannot be used.
    """
    options.check_model()
    tensorflow_setup.prepare_training()
    if options.saved_model_dir is not None:
        from tfodhelper import export_evaluation

        figures, analysis = export_evaluation.evaluate(options)
        return dataclasses.replace(_to_evaluation({"step": None, "metrics": figures}), analysis=analysis)
    from tfodhelper import tile_evaluation
    from tfodhelper.metrics import analysis_file
    from tfodhelper.training import jobs

    evaluations = list((jobs.evaluate if options.tiles is None else tile_evaluation.evaluate)(options))
    if not evaluations:
        raise errors.CheckpointError(
            f"{options.checkpoint or options.model_dir}: no checkpoint appeared within {options.eval_timeout:g} s"
        )
    step, metrics = evaluations[-1]
    name = f"step-{step}" if options.tiles is None else f"step-{step}-tiles"
    assert options.model_dir is not None  # see EvalOptions.check_model
    analysis = analysis_file.read_analysis(run_layout.evaluation_of(options.model_dir, name))
    return dataclasses.replace(_to_evaluation({"step": step, "metrics": metrics}), analysis=analysis)


@takes_fields_of(ExportOptions)
def export(options: ExportOptions) -> pathlib.Path:
    """Writes a checkpoint, or an archive of the zoo, as a SavedModel with the signature of the Object Detection API.

        tfodhelper.export(trained_checkpoint_dir="runs/first", output_directory="exported")
        tfodhelper.export(
            trained_checkpoint_dir="runs/first", output_directory="tflite", format="tflite", quantization=["int8"]
        )

    With `format="tflite"` it writes TFLite files, and prints their precision next to that of the SavedModel.

    The folder appears complete or not at all, and nothing is ever overwritten.

    Returns:
      Path of the folder, which `Predictor` takes.

    Raises:
      TfodhelperError: a checkpoint that does not fit the configuration, a folder that is not empty.
    """
    from tfodhelper.exporting import export_file

    folder: pathlib.Path = export_file.export(options)
    return folder


@takes_fields_of(ReviewOptions)
def check(options: ReviewOptions) -> CheckResult:
    """Looks for faults in images and annotations, prints them, and changes nothing.

    Returns:
      A `CheckResult` with the findings.

    Raises:
      TfodhelperError: folders that cannot be used; with `strict`, a fault that would be corrected or left out.
    """
    from tfodhelper.review import check_set

    plan = check_set.check_set(options)
    return CheckResult(
        has_errors=plan.has_errors, num_images=len(plan.examination.images), findings=tuple(plan.findings)
    )


@takes_fields_of(LabelOptions)
def label(options: LabelOptions) -> LabelResult:
    """Shows the images of a folder on a page in the browser, on which a person draws and corrects boxes.

        result = tfodhelper.label(data_dir="photos", saved_model_dir="runs/first")
        print(result.num_verified, result.seconds_per_image)

    Prints the address of the page, and returns when the person ends it there, or with Ctrl-C. Every change is saved at
    once as LabelImg XML.

    Returns:
      A `LabelResult`.

    Raises:
      TfodhelperError: a folder without images, a model that cannot be used, a port that is in use.
    """
    from tfodhelper import label_folder

    counts = label_folder.label(options)
    return LabelResult(
        num_images=counts.total,
        num_verified=counts.verified,
        num_written=counts.changed,
        seconds_per_image=counts.seconds / counts.num_seen if counts.num_seen else None,
    )


@takes_fields_of(ExplainOptions)
def explain(options: ExplainOptions) -> ExplainResult:
    """Shows why a detector finds what it finds: heat maps, layers, anchors or proposals, and filters, as pictures.

        result = tfodhelper.explain(trained_checkpoint_dir="runs/first", output_dir="explained", images=["photo.jpg"])
        print(result.page, result.explanations[0]["layer"])

    It needs gradients, and so a checkpoint with its pipeline.config; an exported model alone will not do.

    Returns:
      An `ExplainResult`.

    Raises:
      TfodhelperError: a checkpoint that does not fit the configuration, a layer or channel that does not exist, a
        folder that is not empty.
    """
    from tfodhelper.explaining import explain_images

    result = explain_images.explain(options)
    return ExplainResult(
        page=None if result.folder is None else result.folder / explain_images.PAGE,
        layers=result.layers,
        explanations=tuple(result.explanations),
        filters=tuple(result.filters),
    )


@takes_fields_of(ReportOptions)
def report(options: ReportOptions) -> list[pathlib.Path]:
    """Writes the pages of finished runs again, which `run` writes at its end: everything about a run in one file.

        tfodhelper.report(runs=["runs/first"])

    Returns:
      Paths of the pages, report.html in each run folder.

    Raises:
      TfodhelperError: a folder is not that of a finished run, or a file in it is damaged.
    """
    from tfodhelper.reporting import write

    return [write.write_report(folder) for folder in options.folders]


@takes_fields_of(CompareOptions)
def compare(options: CompareOptions) -> RunComparison:
    """Compares finished runs: figures of their best checkpoints, classes, and what differs in their settings.

        result = tfodhelper.compare(runs=["runs/first", "runs/second"])
        print(result.figures["mAP"], result.differences)

    Returns:
      A `RunComparison`.

    Raises:
      TfodhelperError: fewer than two runs, a folder that is not that of a finished run.
    """
    from tfodhelper.reporting import compare as comparing

    compared = comparing.compare(options)
    return RunComparison(
        runs=tuple(compared.labels),
        figures=compared.figures,
        classes=compared.classes,
        differences=compared.differences,
        same_validation=compared.same_validation,
    )


@takes_fields_of(BenchmarkOptions)
def benchmark(options: BenchmarkOptions) -> list[ModelFigures]:
    """Measures exported models, each in a process of its own: precision, speed, memory, size.

        figures = tfodhelper.benchmark(models=["runs/first", "tflite/detector_int8.tflite"], data_dir="runs/first")
        print([each.image_ms for each in figures])

    Returns:
      A `ModelFigures` for each model; those that could not be measured are left out, with a warning.

    Raises:
      TfodhelperError: a model or the images do not exist, or no model could be measured.
    """
    from tfodhelper.benchmarking import compare_models

    figures: list[ModelFigures] = compare_models.benchmark(options)
    return figures


def _to_evaluation(record: Mapping[str, Any]) -> Evaluation:
    """An `Evaluation` from a step and its metrics; NaN, a value that cannot be measured, becomes None."""
    metrics = {
        tag: None if value is None or math.isnan(value) else float(value) for tag, value in record["metrics"].items()
    }
    return Evaluation(record["step"], metrics)
