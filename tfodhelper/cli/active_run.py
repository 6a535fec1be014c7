"""do several rounds, and train once more in the end

    tfodhelper active run --rounds=3 --workspace=growing

Goes on until the workspace has that many finished rounds, whatever has been done before, and then trains on all that
was adopted. With the oracle labelimg it stops whenever a person is asked.
"""

from absl import flags

from tfodhelper import tensorflow_setup
from tfodhelper.cli import active_flags, active_round, flagging


def define_flags(fv):
    """Defines the flags of this verb."""
    active_flags.define_workspace(fv)
    flags.DEFINE_integer("rounds", 1, "Finished rounds that the workspace shall have.", lower_bound=1, flag_values=fv)
    active_round.define_way(fv)
    active_flags.define_settings(fv)


def main(fv, args):
    """Runs the verb."""
    flagging.refuse_arguments(args)
    flagging.require(fv, "workspace")
    tensorflow_setup.quiet_tensorflow()
    tensorflow_setup.give_sessions_own_threads()
    from tfodhelper.active_learning import rounds
    from tfodhelper.active_learning.report import reporting

    outcome = rounds.run_rounds(
        fv.workspace,
        fv.rounds,
        changes=active_flags.changes(fv),
        until=fv.until,
        finish_review=fv.finish_review,
        close=True,
    )
    reporting.say_outcome(fv.workspace, outcome)
