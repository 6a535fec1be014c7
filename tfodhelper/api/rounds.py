"""Active learning from Python: a workspace, its rounds, and custom oracles."""

import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Protocol, TypeAlias

from tfodhelper import tensorflow_setup
from tfodhelper.active_learning import flat_settings
from tfodhelper.active_learning.options import FlatOptions
from tfodhelper.active_learning.structures import Answer, Question
from tfodhelper.api.keywords import takes_fields_of
from tfodhelper.api.results import NewWorkspace
from tfodhelper.events import Hook

Phase: TypeAlias = Literal["train", "predict", "select", "ask", "merge"]
Outcome: TypeAlias = Literal["done", "waits", "empty", "train", "predict", "select", "ask", "merge"]


class Oracle(Protocol):
    """Answers questions about the images that a round has chosen.

    Attributes:
      name: its name in the reports.
    """

    name: str

    def ask(self, questions: Iterable[Question], folder: pathlib.Path) -> Iterable[Answer]:
        """Answers each question, in any order.

        Args:
          questions: one for each chosen image, in the order of their rank.
          folder: of the round.
        """
        ...


@takes_fields_of(FlatOptions)
def create_workspace(options: FlatOptions) -> NewWorkspace:
    """Makes a workspace of labelled images, validation and pool, in which `run_rounds` lets the detector label.

        tfodhelper.create_workspace(
            workspace="growing", data_dir="labelled", pool_dir="pool", model="ssd_mobilenet_v1", oracle="labelimg"
        )
        tfodhelper.run_rounds("growing")

    Args:
      oracle_options: {name: value} of the options that the oracle has, as in `tfodhelper active init --help`.

    Returns:
      A `NewWorkspace` with its folder and the numbers of images.

    Raises:
      TfodhelperError: input that cannot be used; no incomplete workspace is left.
    """
    from tfodhelper.active_learning import create_workspace as workspaces

    made = workspaces.init(flat_settings.to_init_options(options))
    return NewWorkspace(
        folder=pathlib.Path(options.workspace),
        num_labelled=made.num_labelled,
        num_validation=made.num_validation,
        num_pool=made.num_pool,
        refused=made.refused,
    )


def run_rounds(
    workspace: str | os.PathLike[str],
    rounds: int | None = None,
    *,
    oracle: Oracle | None = None,
    settings: Mapping[str, Any] | None = None,
    until: Phase | None = None,
    finish_review: bool = False,
    close: bool = False,
    notify: str | None = None,
    on_event: Hook | None = None,
) -> Outcome:
    """Does rounds of active learning, or resumes them: train, predict the pool, select, ask the oracle, adopt.

    Args:
      workspace: its folder.
      rounds: how many finished rounds the workspace is to have; when omitted, the current round is finished, or one
        more is done.
      oracle: who is asked, instead of the oracle that the workspace names: any object with a `name` and
        `ask(questions, folder)`, which gives an `Answer` for each `Question`.
      settings: {name: value} of settings that change from the current round on; names as for `create_workspace`.
      until: the phase after which to stop.
      finish_review: whether images that nobody has verified go back to the pool, instead of being waited for.
      close: whether the next round is begun and its model trained, so that the last adopted images count.
      notify: command that gets each event on its standard input, as in `tfodhelper active run --help`.
      on_event: function that is called with each event, a dict; what it raises is a warning.

    Returns:
      "done"; "waits", if a person is asked; "empty", if the pool is used up; or `until`, if it stopped there.

    Raises:
      TfodhelperError: says what is wrong; finished phases are kept.
    """
    changes = flat_settings.arrange(settings) if settings else None
    tensorflow_setup.prepare_training()
    tensorflow_setup.give_sessions_own_threads()
    from tfodhelper.active_learning import rounds as round_phases

    outcome: Outcome = round_phases.run_rounds(
        workspace,
        rounds,
        notify=notify,
        on_event=on_event,
        changes=changes,
        oracle=oracle,
        until=until,
        finish_review=finish_review,
        close=close,
    )
    return outcome
