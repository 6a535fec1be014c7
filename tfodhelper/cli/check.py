"""Looks for faults in images and LabelImg XML, and says what `convert` would do about each.

Nothing is changed. The exit status is 1 when an error was found, that is when something labelled would be left out, and
0 otherwise; with --strict also when something would be fixed.

--output_dir writes report.json with all findings, and report.html with pictures of the images concerned and their
boxes. With --fix it also gets the folder fixed/: copies of all usable images with corrected XML, ready for `convert`;
the originals are never touched.

--model names an exported detector, and asks where it disagrees with the labels: confident detections without a box,
or on a box of another class, and boxes that no detection meets. Incomplete labels teach a detector that objects are
background. The suspicions are ranked; suspects/ gets LabelImg drafts of these images, with the detections added as
boxes, the weightiest first, and suspects.csv says what belongs to what. Look through them in LabelImg, delete what is
wrong, and mark each with the space bar as verified. Then --fix --reviewed=FOLDER/suspects, with another --output_dir,
writes fixed/ with the annotations of the verified drafts.
"""

import pathlib

from absl import flags

from tfodhelper import console, errors, storage, tensorflow_setup
from tfodhelper.cli import flagging

REPORT, PAGE = "report.json", "report.html"


def define_flags(fv):
    """Defines the verb's flags."""
    flagging.define_data_flags(fv)
    flagging.define_seed(fv)
    flagging.define_check_flags(fv)
    flagging.define_max_shown(fv)
    flagging.define_output_dir(fv, "Folder for report.json, report.html and what else is asked for.")
    text = "Look for images on several sides of the split that show nearly the same; decodes all images once more."
    flags.DEFINE_bool("near_duplicates", True, text, flag_values=fv)
    flags.DEFINE_bool("fix", False, "Write corrected copies to fixed/ in --output_dir.", flag_values=fv)
    flagging.define_path(fv, "reviewed", None, "Folder of drafts whose verified ones are taken over, with --fix.")
    text = "How images that stay as they are get to fixed/: copy, or link (to the originals)."
    flags.DEFINE_enum("images", "copy", ["copy", "link"], text, flag_values=fv)
    flagging.define_path(fv, "model", None, "Folder of an exported detector that is held against the labels.")
    text = "Least score of a detection that counts as confident, with --model."
    flags.DEFINE_float("score_threshold", 0.5, text, lower_bound=0.05, upper_bound=1.0, flag_values=fv)
    flagging.define_pipeline_config_path(fv, "pipeline.config of the model to train: its input size and anchors.")
    text = "Side of the model's input in pixels, where no pipeline.config says it. 300 when left out."
    flags.DEFINE_integer("input_size", None, text, lower_bound=16, flag_values=fv)


def main(fv, args):
    """Runs the verb; returns the exit status."""
    flagging.refuse_arguments(args)
    _check_flags(fv)
    from tfodhelper.dataset import plan, report
    from tfodhelper.dataset.analysis import object_size
    from tfodhelper.dataset.scan import examine

    scale = _find_scale(fv)
    names = [field for field in plan.SetOptions.__dataclass_fields__ if field in fv]
    options = plan.SetOptions(**{name: fv[name].value for name in names})
    _make_folders(fv, options.make_source())
    planned = plan.make_plan(options)
    planned = planned.with_findings(object_size.check_whole_set(planned, scale, fv.near_duplicates))
    for line in report.format_report(planned, fv.max_shown):
        console.say(line)
    for line in report.format_sizes(planned, scale):
        console.say(line)
    by_image = _compare_with_model(fv, planned) if fv.model else None
    if fv.output_dir:
        _write(fv, planned, scale, by_image)
    if fv.strict:
        examine.check_strict(planned.findings)
    if planned.has_errors:
        return 1
    console.say_next("tfodhelper convert --output_dir=FOLDER, with the flags of this command")
    return 0


def _check_flags(fv):
    for name in ("fix", "model"):
        if fv[name].value and not fv.output_dir:
            raise errors.UsageError(f"--{name} needs a folder to write to", fix="add --output_dir=FOLDER")
    if fv.reviewed and not fv.fix:
        raise errors.UsageError("--reviewed says what goes into fixed/", fix="add --fix")
    if fv.model:
        from tfodhelper.prediction import saved_models

        saved_models.find_saved_model(fv.model)


def _make_folders(fv, source):
    """Makes the folders for copies and drafts, so that one that cannot be used is said before the work."""
    from tfodhelper.dataset import placing
    from tfodhelper.dataset.scan import corrected_copy
    from tfodhelper.review import drafts

    for name in ([corrected_copy.FOLDER] if fv.fix else []) + ([drafts.FOLDER] if fv.model else []):
        placing.make_new_folder(pathlib.Path(fv.output_dir) / name, source.image_dir, source.annotation_dir)


def _find_scale(fv):
    """The scale of the model that is meant: of the configuration that is named, or of the one of --model."""
    from tfodhelper.config import model_scale

    if fv.pipeline_config_path:
        return model_scale.read_model_scale(fv.pipeline_config_path)
    for folder in (pathlib.Path(fv.model), pathlib.Path(fv.model).parent) if fv.model else ():
        if (folder / "pipeline.config").is_file():
            return model_scale.read_model_scale(folder)
    return model_scale.default_scale(fv.input_size)


def _compare_with_model(fv, planned):
    """{image name: list of suspicions}."""
    tensorflow_setup.quiet_tensorflow()
    from tfodhelper.prediction import predictor
    from tfodhelper.review import comparison

    model = predictor.Predictor(fv.model)
    return comparison.compare(planned, model, fv.score_threshold)


def _write(fv, planned, scale, by_image):
    """Writes the report and what else was asked for."""
    from tfodhelper.dataset import report
    from tfodhelper.dataset.scan import corrected_copy
    from tfodhelper.review import comparison, drafts, page

    folder = storage.make_folder(fv.output_dir)
    value = report.to_json(planned) | {"box_sizes": report.sizes_to_json(planned, scale)}
    if fv.fix:
        reviewed, notes = drafts.read_reviewed(fv.reviewed, planned) if fv.reviewed else (None, [])
        for line in report.format_findings(notes, fv.max_shown):
            console.say(line)
        value["fixed"] = corrected_copy.write_fixed(planned, folder / corrected_copy.FOLDER, fv.images, reviewed)
        if fv.reviewed:
            console.say(f"taken over from {fv.reviewed}: {len(reviewed)} verified drafts")
        console.say(
            f"corrected copies: {folder / corrected_copy.FOLDER} ({len(value['fixed'])} images or XML files changed)"
        )
    if by_image is not None:
        value["suspects"] = comparison.to_json(by_image)
        made = drafts.write_drafts(folder, planned, by_image)
        console.say(f"suspected labels: {made}, with {folder / drafts.TABLE}; open the folder in LabelImg")
    storage.write_json(folder / REPORT, value)
    page.write_page(folder / PAGE, planned, by_image)
    console.say(f"all findings: {folder / REPORT}; with pictures: {folder / PAGE}")
