"""do the next round, or go on with the one that waits

    tfodhelper active round --workspace=growing

A round converts and trains, evaluates and exports, predicts the pool, selects, asks the oracle and adopts what it
confirms. With the oracle labelimg it stops when the drafts are written: verify them in LabelImg (space bar) and type
the same command again. It takes in what is verified; while some drafts are not, it asks for the rest again, and
--finish_review goes on without them: they stay in the pool.

--until=train stops after a phase: then several machines may predict the pool with `active predict --shard=i/n`.
"""

from absl import flags

from tfodhelper import tensorflow_setup
from tfodhelper.cli import active_flags, flagging


def define_flags(fv):
    """Defines the flags of this verb."""
    active_flags.define_workspace(fv)
    define_way(fv)
    active_flags.define_settings(fv)


def define_way(fv):
    """How far to go."""
    text = "Go on without the drafts that nobody has verified; their images stay in the pool."
    flags.DEFINE_bool("finish_review", False, text, flag_values=fv)
    text = "Stop after this phase."
    phases = ["train", "predict", "select", "ask", "merge"]
    flags.DEFINE_enum("until", None, phases, text, flag_values=fv)


def main(fv, args):
    """Runs the verb."""
    flagging.refuse_arguments(args)
    flagging.require(fv, "workspace")
    tensorflow_setup.quiet_tensorflow()
    tensorflow_setup.give_sessions_own_threads()
    from tfodhelper.active_learning import rounds
    from tfodhelper.active_learning.report import reporting

    outcome = rounds.run_rounds(
        fv.workspace, changes=active_flags.changes(fv), until=fv.until, finish_review=fv.finish_review
    )
    reporting.say_outcome(fv.workspace, outcome)
