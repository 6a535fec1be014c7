"""The rounds of a workspace as curves of TensorBoard; the step is the number of the round."""

import os
import re

from tensorboard.compat.proto import event_pb2
from tensorboard.plugins.scalar import summary_v2
from tensorboard.summary.writer import record_writer

from tfodhelper import storage
from tfodhelper.active_learning.report import round_facts
from tfodhelper.active_learning.report.tables import EDIT_KINDS
from tfodhelper.active_learning.structures import ADOPTED, REFUSED

_FILE = re.compile(r"events\.out\.tfevents\.(\d+)\.rounds")


def write_curves(folder, rounds, names):
    """Writes the curves of all rounds anew; those of an earlier call are taken away.

    A TensorBoard that is watching forgets what it has read of them, so that no curve folds back.

    Args:
      folder: pathlib.Path of a folder that holds nothing else: what `tensorboard --logdir` is told.
      rounds: list of `round_facts.RoundFacts`.
      names: `round_facts.ClassNames`.

    Returns:
      The folder.
    """
    run = storage.make_folder(folder / "rounds")
    earlier = {int(match[1]): path for path in run.iterdir() if (match := _FILE.fullmatch(path.name))}
    # TensorBoard reads files in the order of their names, and every file with "tfevents" in its name.
    name = f"events.out.tfevents.{max(earlier, default=0) + 1:010d}.rounds"
    complete = run / f"curves.{os.getpid()}.new"
    with storage.open_whole(complete, "wb") as file:
        writer = record_writer.RecordWriter(file)
        for event in _make_events(rounds, names):
            writer.write(event.SerializeToString())
    os.replace(complete, run / name)
    for path in earlier.values():
        path.unlink(missing_ok=True)
    return folder


def scalars_of(one, names):
    """{tag: value} of a round; what is not known has no tag."""
    values = {"precision/mAP@.50IOU": one.map50, "precision/mAP": one.map5095}
    values |= {f"AP@.50IOU/{name}": one.ap50.get(name) for name in names.shown}
    if one.train is not None:
        values |= {"set/images": one.train.images, "set/boxes": one.train.boxes}
        values |= {f"images/{name}": one.train.images_of_class[name] for name in names.shown}
        values |= {f"share/{name}": one.train.share(name) for name in names.shown}
    if any(one.verdicts.values()):
        values |= {f"answers/{verdict}": one.verdicts[verdict] for verdict in (ADOPTED, REFUSED)}
    if one.edits is not None:
        values |= {f"label_cost/{kind}": getattr(one.edits, kind) for kind in EDIT_KINDS}
    values |= {f"seconds/{phase}": one.seconds[phase] for phase in round_facts.PHASES if phase in one.seconds}
    return {tag: float(value) for tag, value in values.items() if value is not None}


def _make_events(rounds, names):
    times = [(one.folder / "round.json").stat().st_mtime for one in rounds]
    first = min(times, default=0.0)
    yield event_pb2.Event(wall_time=first, file_version="brain.Event:2")
    # The first mark is taken for a start and only the next one for a restart, which drops what was read before.
    restart = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    for _ in range(2):
        yield event_pb2.Event(wall_time=first, step=0, session_log=restart)
    for one, time in zip(rounds, times):
        for tag, value in scalars_of(one, names).items():
            yield event_pb2.Event(wall_time=time, step=one.number, summary=summary_v2.scalar_pb(tag, value))
