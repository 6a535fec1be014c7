"""Records of their own for images with boxes that nobody has looked at, so that batches can be shared.

There may be many more such images than labelled ones, or far fewer. With a share of the batches, how often each kind is
read does not depend on that. They never are more than half of what is read unless a share says so: what nobody has
looked at would otherwise drown what is known.
"""

from tfodhelper import storage
from tfodhelper.active_learning import workspace
from tfodhelper.active_learning.options import CONCERNING_UNSEEN, RoundTrainingOptions
from tfodhelper.dataset.options import HEADER
from tfodhelper.records import convert
from tfodhelper.records.options import ConvertOptions

_READER = "train_input_reader"
_MOST = 0.5  # of what is read, unless a share is given


def share_batches(space, round_, names, folder, training, is_control=False):
    """Gives images with boxes that nobody has looked at their share of the batches, by records of their own.

    Args:
      space: the `Workspace`.
      round_: the `Round`.
      names: of the images to train on.
      folder: of the training; the records are written next to it.
      training: settings of the training.
      is_control: whether it does without what nobody has seen of the round before.

    Returns:
      (names of the images that are converted with the training, its settings without `adopted_share` and without what
      would concern nothing, changes of pipeline.config).

    Raises:
      UsageError: the settings concern images that have no share.
    """
    RoundTrainingOptions(**training).check_share()
    training = dict(training)
    share = training.pop("adopted_share", None)
    unseen = _unseen_names(space, round_.number, is_control)
    adopted = [name for name in names if name in unseen]
    if not adopted or len(adopted) == len(names):
        return names, training | (CONCERNING_UNSEEN if share is not None else {}), ()
    if share is None and len(adopted) <= _MOST * len(names):
        return names, training, ()
    share = _MOST if share is None else share
    own = [name for name in names if name not in unseen]
    lists = {}
    for kind, listed in (("own", own), ("adopted", adopted)):
        lists[kind] = (round_.folder / f"{folder.name}_{kind}.txt").absolute()
        storage.write_text(lists[kind], "".join(f"{name}\n" for name in listed))
    made = convert.convert(
        ConvertOptions(
            data_dir=space.set_dir.absolute(),
            train_list=lists["own"],
            val_list=lists["adopted"],  # where classes may be missing
            label_map=space.label_map.absolute(),
            validate=HEADER,
            update=True,
            output_dir=workspace.adopted_records_of(folder).absolute(),
        )
    )
    changes = (
        f"{_READER}.tf_record_input_reader.input_path+={made.output_dir / made.validate_pattern}",
        f"{_READER}.sample_from_datasets_weights=[{1 - share:g}, {share:g}]",
    )
    return own, training, changes


def _unseen_names(space, number, is_control):
    """Names of the images with boxes that nobody has looked at."""
    standing = (space.standing_in_control if is_control else space.standing_in_training)(number)
    return {name for name, image in standing.items() if image.is_unseen}
