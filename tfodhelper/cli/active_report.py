"""tables, plots and a page of all rounds; the T/F/N sheet of a test folder

    tfodhelper active report --workspace=growing
    tfodhelper active report --workspace=growing --test_dir=unseen --image_labels=folder

Writes WORKSPACE/report: index.html (one page with the images adopted, refused and most doubtful), tables.txt, CSV
files, plots, and curves over rounds for TensorBoard. Every round ends with it; this verb writes it anew.

With --test_dir, images whose classes are known by their folder or a CSV, the newest model is held against them: for
each class so many cells of T (right), F (wrong) or N (nothing found); of several detections the highest score decides.
The sheet stays on the page until the next one is made; tally.csv and tally_classes.csv hold it, too.
"""

import pathlib
import tempfile

from absl import flags

from tfodhelper import console, errors
from tfodhelper.cli import active_flags, flagging


def define_flags(fv):
    """Defines the flags of this verb."""
    active_flags.define_workspace(fv)
    flagging.define_path(fv, "test_dir", None, "Folder with test images whose classes are known, for the T/F/N sheet.")
    text = "Where their classes stand: folder (each image lies in a folder named by its class), or a CSV."
    flagging.define_path(fv, "image_labels", "folder", text)
    flags.DEFINE_integer("per_class", 20, "Cells of a class in the sheet.", lower_bound=1, flag_values=fv)
    text = "A detection with a lower score counts as none in the sheet."
    flags.DEFINE_float("score_threshold", 0.5, text, 0.0, 1.0, flag_values=fv)
    flagging.define_seed(fv)


def main(fv, args):
    """Runs the verb."""
    from tfodhelper.active_learning.report import report, tfn_sheet

    flagging.refuse_arguments(args)
    flagging.require(fv, "workspace")
    sheet = _tally(fv) if fv.test_dir else None
    made = report.write_report(fv.workspace)
    console.say(made.text)
    if sheet is not None:
        console.say("")
        console.say(f"T/F/N sheet: model of round {sheet.round_number} on {fv.test_dir}")
        console.say(tfn_sheet.format_sheet(sheet.rows))
    console.say("")
    console.say(f"the page: {made.page}")
    console.say_next(f"tensorboard --logdir={made.tensorboard}", f"tfodhelper active round --workspace={fv.workspace}")


def _tally(fv):
    """Makes the T/F/N sheet of the newest model and writes it."""
    from tfodhelper import tensorflow_setup
    from tfodhelper.active_learning import workspace
    from tfodhelper.active_learning.oracles import image_labels
    from tfodhelper.active_learning.pool import predictions
    from tfodhelper.active_learning.report import report, tfn_sheet
    from tfodhelper.active_learning.structures import PoolImage
    from tfodhelper.prediction import sources

    space = workspace.Workspace(fv.workspace)
    trained = [one for one in space.rounds() if one.has("train")]
    if not trained:
        raise errors.DatasetError(
            f"{space.folder}: no round has a model yet", fix="tfodhelper active round makes the first one"
        )
    found = sources.find_images([fv.test_dir])
    classes = image_labels.read_image_labels(fv.image_labels, found)
    images = [PoolImage(s.name, str(s.path.absolute()), classes[s.name]) for s in found if s.name in classes]
    tensorflow_setup.quiet_tensorflow()
    from tfodhelper.active_learning.pool import pool_predictor

    with tempfile.TemporaryDirectory(dir=space.folder) as folder:
        pool_predictor.predict_pool(images, trained[-1].model_dir, pathlib.Path(folder) / "predictions")
        found = predictions.read_predictions(pathlib.Path(folder) / "predictions")
        rows = tfn_sheet.fill_sheet(found, images, fv.per_class, fv.seed, score_threshold=fv.score_threshold)
    sheet = tfn_sheet.Sheet(rows, trained[-1].number, fv.test_dir, fv.score_threshold)
    tfn_sheet.write_sheet(space.folder / report.FOLDER, sheet)
    return sheet
