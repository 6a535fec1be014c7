"""Checks a set for problems, with a report and corrected copies: the verb `check`."""

import pathlib

from tfodhelper import console, errors, provenance, spelling, storage, tensorflow_setup
from tfodhelper.config import model_scale
from tfodhelper.dataset import placing, plan, report
from tfodhelper.dataset.analysis import object_size
from tfodhelper.dataset.scan import corrected_copy, examine
from tfodhelper.prediction import saved_models
from tfodhelper.review import comparison, drafts, page

REPORT, PAGE = "report.json", "report.html"


def check_set(options):
    """Looks for problems, prints them and writes the requested files.

    Args:
      options: `ReviewOptions`.

    Returns:
      The `plan.Plan`, with the findings.

    Raises:
      UsageError: flags cannot be combined.
      DatasetError: a folder cannot be used, or `strict` does not allow a problem.
    """
    _check_options(options)
    options = options.located()
    scale = _find_scale(options)
    makes_folders = options.fix or options.model
    maker = provenance.of_command("check", options, "output_dir") if makes_folders else None
    _make_folders(options, options.make_source(), maker)
    planned = plan.make_plan(options)
    planned = planned.with_findings(object_size.check_whole_set(planned, scale))
    for line in report.format_report(planned, options.max_shown):
        console.say(line)
    for line in report.format_sizes(planned, scale):
        console.say(line)
    by_image = _compare_with_model(options, planned) if options.model else None
    if options.output_dir:
        _write(options, planned, scale, by_image, maker)
    if options.strict:
        examine.check_strict(planned.findings)
    return planned


def _check_options(options):
    for name in ("fix", "model"):
        if getattr(options, name) and not options.output_dir:
            raise errors.UsageError(f"--{name} needs a folder to write to", fix="add --output_dir=FOLDER")
    if options.reviewed and not options.fix:
        raise errors.UsageError("--reviewed requires --fix", fix="add --fix")
    if options.model:
        saved_models.find_model(options.model)


def _make_folders(options, source, maker):
    """Makes the folders for copies and drafts, so that an unusable one is reported before the work."""
    if options.output_dir:
        storage.make_folder(options.output_dir)
    for name in ([corrected_copy.FOLDER] if options.fix else []) + ([drafts.FOLDER] if options.model else []):
        folder = pathlib.Path(options.output_dir) / name
        storage.make_folder(placing.check_new_folder(folder, source.image_dir, source.annotation_dir, maker=maker))


def _find_scale(options):
    """The scale of the model to train, from the configuration or input size given, or from --model."""
    if options.pipeline_config_path:
        return model_scale.read_model_scale(options.pipeline_config_path)
    if options.input_size:
        return model_scale.default_scale(options.input_size)
    for folder in (pathlib.Path(options.model), pathlib.Path(options.model).parent) if options.model else ():
        if (folder / "pipeline.config").is_file():
            return model_scale.read_model_scale(folder)
    return model_scale.default_scale()


def _compare_with_model(options, planned):
    """{image name: list of suspicions}."""
    tensorflow_setup.quiet_tensorflow()
    from tfodhelper.prediction import predictor

    model = predictor.StreamPredictor(options.model, trust_model=options.trust_model)
    return comparison.compare(planned, model, options.score_threshold)


def _write(options, planned, scale, by_image, maker):
    """Writes the report and the other requested files."""
    folder = storage.make_folder(options.output_dir)
    value = report.to_json(planned) | {"box_sizes": report.sizes_to_json(planned, scale)}
    if options.fix:
        value["fixed"] = _write_fixed(options, planned, folder / corrected_copy.FOLDER, maker)
    if by_image is not None:
        value["suspects"] = comparison.to_json(by_image)
        made = drafts.write_drafts(folder, planned, by_image, maker=maker)
        console.say(f"suspected labels: {made}, with {folder / drafts.TABLE}; open the folder in LabelImg")
    storage.write_json(folder / REPORT, value)
    page.write_page(folder / PAGE, planned, by_image)
    console.say(f"all findings: {folder / REPORT}; with pictures: {folder / PAGE}")


def _write_fixed(options, planned, folder, maker):
    reviewed, notes = drafts.read_reviewed(options.reviewed, planned) if options.reviewed else (None, [])
    for line in report.format_findings(notes, options.max_shown):
        console.say(line)
    changed = corrected_copy.write_fixed(planned, folder, options.images, reviewed, maker=maker)
    if options.reviewed:
        console.say(f"adopted from {options.reviewed}: {spelling.count(len(reviewed), 'verified draft')}")
    number = spelling.count(len(changed), "image or XML file", "images or XML files")
    console.say(f"corrected copies: {folder} ({number} changed)")
    return changed
