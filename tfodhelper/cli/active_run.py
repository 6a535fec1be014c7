"""do several rounds, and train once more at the end

    tfodhelper active run --rounds=3 --workspace=growing

Continues until the workspace has that many finished rounds, including those done before, and then trains on all that
was adopted. With the oracle labelimg it stops whenever a person is asked.

The workspace keeps the settings of its rounds: a flag that is left out means what is stored there, not its default.
"""

from tfodhelper import tensorflow_setup
from tfodhelper.active_learning.options import RunRoundsOptions
from tfodhelper.cli import active_flags, flagging, option_flags


def define_flags(fv):
    """Defines the flags of this verb."""
    option_flags.define_flags(fv, RunRoundsOptions)
    active_flags.define_settings(fv)


def main(fv, args):
    """Runs the verb."""
    flagging.refuse_arguments(args)
    options = option_flags.read_options(fv, RunRoundsOptions)
    tensorflow_setup.prepare_training()
    tensorflow_setup.give_sessions_own_threads()
    from tfodhelper.active_learning import rounds
    from tfodhelper.active_learning.report import reporting

    outcome = rounds.run_rounds(
        options.workspace,
        options.rounds,
        changes=active_flags.read_changes(fv),
        until=options.until,
        finish_review=options.finish_review,
        notify=options.notify,
        close=True,
    )
    reporting.say_outcome(options.workspace, outcome)
