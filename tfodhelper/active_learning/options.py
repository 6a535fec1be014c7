"""The options of active learning, and the settings of its rounds as workspaces store them."""

import dataclasses

from tfodhelper import errors, options
from tfodhelper.active_learning.oracles.options import EXPLANATIONS as ORACLES
from tfodhelper.active_learning.pool import view_choices
from tfodhelper.active_learning.selection.rules import ChoiceOptions, SelectOptions
from tfodhelper.config.options import ConfigOptions
from tfodhelper.dataset.options import SetOptions, parse_part
from tfodhelper.events import NotifyOptions
from tfodhelper.training.options import TrainOptions

PHASES = ("train", "predict", "select", "ask", "merge")
CONTINUE, SCRATCH = "continue", "scratch"
CONCERNING_UNSEEN = {"strong_augmentation": False, "ramp_steps": 0}  # training options, and what turns them off
WITHOUT, LAST, OFF = "without", "last", "off"  # with what a round is compared that learned from adopted images


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkspaceOptions(options.Options):
    """Which workspace."""

    title = "Workspace"

    workspace: options.Path = options.option(options.REQUIRED, "Folder of the workspace.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RoundTrainingOptions(TrainOptions, ConfigOptions):
    """The training of a round; its seed is derived from that of all rounds."""

    title = "Training"

    adopted_share: float | None = options.option(
        None,
        "Which fraction of each batch are images with boxes that nobody has looked at, such as 0.5; when omitted, as "
        "many as there are among all images, but at most half.",
        least=0,
        most=1,
    )

    def check_share(self):
        """Raises UsageError if options concern adopted images that have no share of the batches."""
        given = [name for name, default in CONCERNING_UNSEEN.items() if getattr(self, name) != default]
        if given and self.adopted_share is None:
            raise errors.UsageError(
                f"--{given[0]} concerns images with boxes that nobody has looked at, which have no share of a batch",
                fix="add --adopted_share=0.5, or leave the flag out",
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class PoolOptions(options.Options):
    """Options of the prediction of the pool; see `pool_predictor.predict_pool`."""

    title = "Prediction of the pool"

    batch_size: int = options.option(
        8,
        "Images per call when the pool is predicted. Without a GPU, `active predict` and large pools choose their own.",
        flag="predict_batch_size",
        least=1,
    )
    score_threshold: float = options.option(
        0.05,
        "Detections with a lower score are dropped when the pool is predicted.",
        flag="predict_score_threshold",
        least=0,
        most=1,
    )
    views: str = options.option(
        view_choices.PLAIN,
        "How an image is seen when the pool is predicted.",
        choices={
            view_choices.PLAIN: "as it is",
            view_choices.FUSED: "as it is, mirrored, smaller and larger; the boxes are fused, and how far they differ "
            "says how doubtful their places are. Takes at least seven times as long",
        },
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RoundOptions(options.Options):
    """Options of a round as a whole."""

    title = "Rounds"

    retrain: str = options.option(
        CONTINUE,
        "How the training of a round begins.",
        choices={CONTINUE: "from the model of the previous round", SCRATCH: "from --fine_tune_checkpoint"},
    )
    oracle: str | None = options.option(
        None,
        "Who is asked about the chosen images.",
        choices=ORACLES,
    )
    min_box_worth: float = options.option(
        0.8,
        "Which share of the boxes of a class that nobody has looked at has to be right (IoU of 0.5 or more) on the "
        "validation images; below it, the class adopts nothing in this round. 0 adopts without asking.",
        least=0,
        most=1,
    )
    trial: str = options.option(
        WITHOUT,
        "What the model of a round that learned from such boxes has to reach on the validation images, but for what "
        "chance explains; otherwise those images go back to the pool, relabelled ones get their former boxes back, and "
        "the round continues with the other model.",
        choices={
            WITHOUT: "a model trained the same way without them, which takes a second training",
            LAST: "the model of the previous round",
            OFF: "nothing goes back",
        },
    )
    relabel: bool = options.option(
        False,
        "Each round predicts again those adopted images whose boxes nobody has looked at, and asks the same oracle "
        "again: new boxes replace the former ones, and images that are refused now go back to the pool.",
    )
    seed: int = options.seed_option()


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepOptions(NotifyOptions, WorkspaceOptions):
    """How far `active round` and `active run` go."""

    title = "Workspace"

    until: str | None = options.option(None, "Stops after this phase.", choices=PHASES)
    finish_review: bool = options.option(
        False, "Continues without the drafts that nobody has verified; their images stay in the pool."
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunRoundsOptions(StepOptions):
    """How far `active run` goes."""

    title = "Workspace"

    rounds: int = options.option(1, "How many finished rounds the workspace is to have.", least=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictShareOptions(WorkspaceOptions):
    """Which share of the pool `active predict` predicts."""

    title = "Workspace"

    shard: str = options.option("1/1", "Such as 2/3: the second of three shares.")

    def parse_shard(self):
        """(number from 1, count).

        Raises:
          UsageError: the value does not have the form 2/3.
        """
        return parse_part(self.shard, "--shard")


@dataclasses.dataclass(frozen=True, kw_only=True)
class GrowingSetOptions(SetOptions, WorkspaceOptions):
    """The labelled images of a workspace, and what goes with them."""

    title = "Workspace"

    pool_dir: options.Path | None = options.option(
        None, "Folder with the images to label; when omitted, the images of --data_dir without an XML file."
    )
    val_dir: options.Path | None = options.option(
        None, "Folder with labelled images, all of which are used for validation."
    )
    image_labels: options.Path | None = options.option(
        None,
        "What the images of the pool are known to show: folder (each image is in a folder named after its class), or "
        "the path of a CSV with the columns image and class or classes.",
        words=("folder",),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class InitOptions(GrowingSetOptions):
    """The options of `active init`: the images, and the settings of rounds.

    Attributes:
      settings: of the rounds, plain values; see `workspace.Workspace`.
    """

    settings: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportOptions(WorkspaceOptions):
    """The options of `active report`."""

    title = "Report"

    test_dir: options.Path | None = options.option(
        None, "Folder with test images whose classes are known, for the T/F/N sheet."
    )
    image_labels: options.Path = options.option(
        "folder",
        "Where their classes are: folder (each image is in a folder named after its class), or the path of a CSV.",
        words=("folder",),
        only_with=("test_dir",),
    )
    per_class: int = options.option(20, "Cells per class in the sheet.", least=1, only_with=("test_dir",))
    score_threshold: float = options.option(
        0.5, "A detection with a lower score counts as none in the sheet.", least=0, most=1, only_with=("test_dir",)
    )
    seed: int = options.option(0, "Seed of the images that are drawn for the sheet.", least=0, only_with=("test_dir",))


# The parts of the settings of rounds that have options classes, by their key.
PARTS = {"training": RoundTrainingOptions, "prediction": PoolOptions, "selection": SelectOptions}


def part_options(part):
    """The `Option`s of a part of the settings; there is one seed for all parts."""
    return [each for each in options.options_of(PARTS[part]) if each.name != "seed"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FlatOptions(ChoiceOptions, RoundOptions, RoundTrainingOptions, GrowingSetOptions):
    """The options of a workspace and its rounds, each under one name, for a call from Python.

    Attributes:
      oracle_options: {name: value} of the options of the oracle; see `oracles.options`.
    """

    title = "Workspace"

    budget: int | None = options.like(SelectOptions, "budget", None)
    predict_batch_size: int = options.like(PoolOptions, "batch_size", PoolOptions.batch_size)
    predict_score_threshold: float = options.like(PoolOptions, "score_threshold", PoolOptions.score_threshold)
    views: str = options.like(PoolOptions, "views", PoolOptions.views)
    oracle_options: dict[str, object] = dataclasses.field(default_factory=dict)
