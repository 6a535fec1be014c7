"""A workspace whose rounds take no time: training and prediction are made up, everything else is real.

The model of round n finds a cat whose left side is at n pixels in every image, so that a box tells which round drew it.
"""

from tests.active_learning import rounds_on_disk as disk
from tests.active_learning.adoption.test_class_worth import worth
from tests.active_learning.test_round_training import evaluated
from tests.dataset.scan.picture_set import save_image
from tfodhelper.active_learning import round_training, rounds, workspace
from tfodhelper.active_learning.adoption import law
from tfodhelper.active_learning.pool import pool_predictor, predictions
from tfodhelper.active_learning.structures import ADOPTED, REFUSED, Answer, Edits, Prediction
from tfodhelper.annotations import labelimg
from tfodhelper.prediction.detections import Detection, ImageDetections

NAMES = [f"pool/{letter}.jpg" for letter in "abcdef"]


class Killed(BaseException):
    """Ends a process in a test."""


class Oracle:
    """Adopts the best detection unless it is told to refuse; has looked at what it is told it has."""

    def __init__(self, name="mine"):
        self.name, self.asked, self.refused, self.seen = name, [], set(), set()

    def ask(self, questions, folder):
        self.asked.append([])
        for question in questions:
            name = question.image.name
            self.asked[-1].append(name)
            if name in self.refused:
                yield Answer(name, REFUSED, reason="not confirmed")
            else:
                annotation = question.prediction.found.to_annotation(score_threshold=0.5)
                edits = Edits(kept=1) if name in self.seen else None
                yield Answer(name, ADOPTED, annotation, edits=edits, scores=(0.9,))


class World:
    """A workspace, its oracle, and what the made-up trainings saw."""

    def __init__(self, folder, monkeypatch):
        pool = [(name, str(save_image(folder / "photos" / name, seed=seed))) for seed, name in enumerate(NAMES)]
        self.space = disk.start(folder / "w", ["cat", "dog"], pool)
        (self.space.folder / "validation.txt").write_text("")
        self.oracle, self.trainings, self.values, self.dies_in = Oracle(), [], {}, None
        self.worths = [worth(100, 100, "cat")]
        self.side = None  # of all boxes, whichever model
        self.changes = {"relabel": True, "selection": {"budget": 2}}
        monkeypatch.setattr(round_training.run_folder, "run", self._run)
        monkeypatch.setattr(round_training, "_forget_graphs", lambda: None)
        monkeypatch.setattr(pool_predictor, "predict_pool", self._predict)
        monkeypatch.setattr(law, "measure", lambda *about: self.worths)
        monkeypatch.setattr(workspace, "count_labelled", lambda run: {"cat": 1, "dog": 1})
        monkeypatch.setattr(rounds, "_report", lambda space: None)

    def _run(self, options, is_part):
        run = f"{options.output_dir.parent.name}/{options.output_dir.name}"
        names = options.train_list.read_text().splitlines()
        self.trainings.append((run, {name: self.left_side(name) for name in names}))
        if not options.output_dir.exists():
            evaluated(options.output_dir, self.values.get(run, 0.5))
        if self.dies_in == run:
            self.dies_in = None
            raise Killed

    def _predict(self, images, model, folder, **options):
        number = self.side or int(folder.parent.name)
        found = [
            Prediction(
                image.name,
                ImageDetections(image.path, 64, 48, (Detection("cat", 1, 0.9, 5.0, number, 30.0, 40.0),)),
                (0.5,),
                (0.5,),
            )
            for image in (images() if callable(images) else images)
        ]
        predictions.keep_plan(folder, predictions.Plan(len(found), 256, "", "", 0.05, 100))
        predictions.write_part(folder, 0, found)
        return pool_predictor.PoolReport(len(found), len(found), 0, 0, 0.0)

    def run(self, number=None, **how):
        return rounds.run_rounds(self.space.folder, number, changes=self.changes, oracle=self.oracle, **how)

    def left_side(self, name):
        """Where the box of an image is in the set: the number of the round that drew it."""
        xml = (self.space.set_dir / name).with_suffix(".xml")
        (box,) = labelimg.read_labelimg(xml).boxes
        return box.xmin

    def set(self):
        """{name: round that drew its box} of all adopted images, by the files of the set."""
        folder = self.space.set_dir / "pool"
        return {f"pool/{path.name}": self.left_side(f"pool/{path.name}") for path in sorted(folder.glob("*.jpg"))}

    def boxes(self):
        """The same, by what stands."""
        return {name: image.boxes for name, image in sorted(self.space.standing().items())}
