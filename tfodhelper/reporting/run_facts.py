"""All that is stored about a run, read once for its pages."""

import dataclasses
import pathlib

from tfodhelper import errors, json_shapes, options, run_layout, state_files
from tfodhelper.config import pipeline as pipelines
from tfodhelper.dataset import manifest as manifests
from tfodhelper.metrics import analysis_file, detection_file, mask_file

_FIX = "restore the file from a copy, or run again"
_PHASES = {"train": {"seconds": float}, str: {"seconds": float}}
_TEXT = (str, None)
_RESULT = {"seconds_per_step?": (float, None), "reason?": _TEXT, "best_reason?": _TEXT}
_FORM = state_files.StateForm("the state of a finished run", {"phases": _PHASES, "result": _RESULT}, _FIX)


@dataclasses.dataclass(frozen=True)
class RunFacts:
    """A run.

    Attributes:
      folder: pathlib.Path of the run.
      state: content of run.json.
      config: text of the pipeline.config.
      manifest: `dataset.manifest.Manifest` of its data.
      evaluations: of the training, oldest first, see `run_layout.read_evaluations`.
      analysis: values of `analysis_file.SHAPE` of the best evaluation; None in runs of versions that stored none.
    """

    folder: pathlib.Path
    state: dict
    config: str
    manifest: manifests.Manifest
    evaluations: list
    analysis: dict | None

    @property
    def name(self):
        """Of the folder."""
        return self.folder.resolve().name

    @property
    def settings(self):
        """{option: value} of the run, those of its data among them."""
        return {**self.state["settings"], **self.state["settings"]["data"]}

    @property
    def best(self):
        """The evaluation of the best checkpoint; None without any."""
        step = run_layout.result_of(self.folder, self.state)["best"]["step"]
        return next((record for record in self.evaluations if record["step"] == step), None)

    @property
    def data(self):
        """Folder of the converted images."""
        return self.folder / "data"

    def read_detections(self):
        """The `DetectionSet` from which the analysis was made."""
        return detection_file.read_detections_of(self.evaluation_folder, self.analysis)

    def read_masks(self, detected):
        """The masks in the worst images, see `mask_file.read_masks`."""
        return mask_file.read_masks(self.evaluation_folder, self.analysis, detected)

    @property
    def evaluation_folder(self):
        """Folder of the analysis of the best checkpoint."""
        return run_layout.evaluation_of(self.folder, "best")


def read_run(folder):
    """Reads what is stored about a finished run.

    Args:
      folder: of the run.

    Raises:
      UsageError: it is not the folder of a finished run.
      StorageError, DatasetError: a file of the run is damaged.
    """
    folder = pathlib.Path(folder)
    state = run_layout.read_state(folder)
    if state is None or not state["finished"]:
        raise errors.UsageError(
            f"{folder}: is not the folder of a finished run",
            expected=f"a folder with {run_layout.STATE}, as `tfodhelper run` leaves it",
            received="a run that is not finished" if state else "no such file",
            fix="finish the run first: the same command resumes it" if state else "give the folder of a run",
        )
    path = folder / run_layout.STATE
    run_layout.result_of(folder, state_files.check_state(path, state, _FORM))
    state_files.check_finite(path, {name: state[name] for name in _FORM.keys}, _FORM)
    evaluations = run_layout.checkpoints_of(folder) / "evaluations.jsonl"
    analysis = run_layout.evaluation_of(folder, "best")
    return RunFacts(
        folder=folder,
        state=state,
        config=pipelines.format_pipeline(pipelines.read_pipeline(folder / "pipeline.config")),
        manifest=manifests.read_manifest(folder / "data"),
        evaluations=run_layout.read_evaluations(evaluations) if evaluations.exists() else [],
        analysis=analysis_file.read_analysis(analysis) if (analysis / analysis_file.ANALYSIS).exists() else None,
    )


def command_flags(settings, kind):
    """The flags that give a job the settings it was stored with, without those that have their defaults.

    Args:
      settings: {name of an option: plain value}.
      kind: the options class of the job.

    Returns:
      List of "--flag=value".

    Raises:
      StorageError: a value is of another kind.
    """
    flags = []
    for option in options.options_of(kind):
        value = settings.get(option.name)
        if option.name not in settings or value is None or value == option.to_json(option.default):
            continue
        if option.kind == "texts" and not isinstance(value, list):
            raise errors.StorageError(
                f"{run_layout.STATE}: damaged settings of a run",
                expected=f"{option.name}: a list of texts",
                received=json_shapes.name_of(type(value)),
                fix=_FIX,
            )
        if option.kind == "bool":
            flags.append(f"--{option.flag}" if value else f"--no{option.flag}")
        else:
            flags += [f"--{option.flag}={each}" for each in (value if option.kind == "texts" else [value])]
    return flags
