"""do the next round, or resume the one that waits

    tfodhelper active round --workspace=growing

A round converts and trains, evaluates and exports, predicts the pool, selects, asks the oracle and adopts what it
confirms. With the oracle browser it prints the address of a page on which a person confirms and corrects the drafts,
and continues when that is finished. With the oracle labelimg it stops when the drafts are written: verify them in
LabelImg (space bar) and type the same command again. It adopts what is verified. As long as some drafts are not, it
asks for the rest again; --finish_review continues without them, and they stay in the pool.

Boxes that nobody has looked at are only adopted where enough boxes of their class are right on the validation images
(--min_box_worth). The next round trains with and without them; if the detector is worse with them, their images go back
to the pool (--trial). With --relabel, each later model draws such boxes again, if the same oracle confirms them.

The workspace keeps the settings of its rounds: a flag that is left out means what is stored there, not its default. One
that is given holds for this round and all later ones; what the round has already been done with cannot change any more.

--until=train stops after the training: several machines may then predict the pool with `active predict --shard=i/n`.
"""

from tfodhelper import tensorflow_setup
from tfodhelper.active_learning.options import StepOptions
from tfodhelper.cli import active_flags, flagging, option_flags


def define_flags(fv):
    """Defines the flags of this verb."""
    option_flags.define_flags(fv, StepOptions)
    active_flags.define_settings(fv)


def main(fv, args):
    """Runs the verb."""
    flagging.refuse_arguments(args)
    options = option_flags.read_options(fv, StepOptions)
    tensorflow_setup.prepare_training()
    tensorflow_setup.give_sessions_own_threads()
    from tfodhelper.active_learning import rounds
    from tfodhelper.active_learning.report import reporting

    outcome = rounds.run_rounds(
        options.workspace,
        changes=active_flags.read_changes(fv),
        until=options.until,
        finish_review=options.finish_review,
        notify=options.notify,
    )
    reporting.say_outcome(options.workspace, outcome)
