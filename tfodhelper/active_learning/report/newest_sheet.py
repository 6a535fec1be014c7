"""The T/F/N sheet of a workspace's newest model on a test folder."""

import pathlib

from tfodhelper import errors, own_files, tensorflow_setup
from tfodhelper.active_learning import workspace
from tfodhelper.active_learning.oracles import image_labels
from tfodhelper.active_learning.pool import predictions
from tfodhelper.active_learning.report import report, tfn_sheet
from tfodhelper.active_learning.structures import PoolImage
from tfodhelper.prediction import sources


def make_newest_sheet(options):
    """Makes and writes the T/F/N sheet of the newest model.

    Args:
      options: `ReportOptions`, with a test folder.

    Returns:
      A `tfn_sheet.Sheet`.

    Raises:
      DatasetError: no round has a model, or the test folder has no image whose class is known.
    """
    space = workspace.Workspace(options.workspace)
    trained = [round_ for round_ in space.rounds() if round_.has("train")]
    if not trained:
        raise errors.DatasetError(
            f"{space.folder}: no round has a model yet", fix="make the first one with `tfodhelper active round`"
        )
    skipped = []
    shown = sources.find_images([options.test_dir], skipped.append)
    sources.warn_of_skipped(skipped)
    classes = image_labels.read_image_labels(options.image_labels, shown)
    images = [PoolImage(s.name, str(s.path.absolute()), classes[s.name]) for s in shown if s.name in classes]
    tensorflow_setup.quiet_tensorflow()
    from tfodhelper.active_learning.pool import pool_predictor

    with own_files.temporary_folder(space.folder) as folder:
        predicted = pathlib.Path(folder) / "predictions"
        pool_predictor.predict_pool(images, trained[-1].model_dir, predicted)
        rows = tfn_sheet.fill_sheet(
            predictions.read_predictions(predicted),
            images,
            options.per_class,
            options.seed,
            score_threshold=options.score_threshold,
        )
    sheet = tfn_sheet.Sheet(rows, trained[-1].number, options.test_dir, options.score_threshold)
    tfn_sheet.write_sheet(space.folder / report.FOLDER, sheet)
    return sheet
