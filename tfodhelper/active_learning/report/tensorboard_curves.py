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
    """Rewrites the curves of all rounds; those of an earlier call are removed.

    A running TensorBoard forgets what it has read of them, so that no curve folds back.

    Args:
      folder: pathlib.Path of a folder for the curves alone, the one for `tensorboard --logdir`.
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


def scalars_of(facts, names):
    """{tag: value} of a round; unknown values have no tag."""
    values = {"precision/mAP@.50IOU": facts.map50, "precision/mAP": facts.map5095}
    values |= {f"AP@.50IOU/{name}": facts.ap50.get(name) for name in names.shown}
    if facts.train is not None:
        values |= {"set/images": facts.train.images, "set/boxes": facts.train.boxes}
        values |= {f"images/{name}": facts.train.images_of_class[name] for name in names.shown}
        values |= {f"share/{name}": facts.train.share(name) for name in names.shown}
    if any(facts.verdicts.values()):
        values |= {f"answers/{verdict}": facts.verdicts[verdict] for verdict in (ADOPTED, REFUSED)}
    if facts.edits is not None:
        values |= {f"label_cost/{kind}": getattr(facts.edits, kind) for kind in EDIT_KINDS}
    values |= {f"seconds/{phase}": facts.seconds[phase] for phase in round_facts.PHASES if phase in facts.seconds}
    return {tag: float(value) for tag, value in values.items() if value is not None}


def _make_events(rounds, names):
    times = [(facts.folder / "round.json").stat().st_mtime for facts in rounds]
    first = min(times, default=0.0)
    yield event_pb2.Event(wall_time=first, file_version="brain.Event:2")
    # TensorBoard takes the first mark for a start and only the next one for a restart, which drops what it read before.
    restart = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    for _ in range(2):
        yield event_pb2.Event(wall_time=first, step=0, session_log=restart)
    for facts, time in zip(rounds, times):
        for tag, value in scalars_of(facts, names).items():
            yield event_pb2.Event(wall_time=time, step=facts.number, summary=summary_v2.scalar_pb(tag, value))
