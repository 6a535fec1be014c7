"""A folder of reference numbers of the OD API next to the checkout.

Folders named `NAME__slim` hold those of the first generation: their variables have the names of TF-Slim.
"""

import importlib
import json
import sys

import numpy as np
from google.protobuf import text_format

from tests.models import parity, training_step
from tfodhelper import families, protos
from tfodhelper.checkpoints import restore
from tfodhelper.config import supported
from tfodhelper.models import build

SLIM = "__slim"


def has_family(folder):
    """Whether the network of a folder is supported."""
    pipeline = protos.message("TrainEvalPipelineConfig")(model=read_model(folder))
    return all(field.status != supported.UNSUPPORTED for field in supported.classify(pipeline))


def read_model(folder):
    message = protos.message("TrainEvalPipelineConfig")()
    return text_format.Parse((folder / "pipeline.config").read_text(), message).model


def load_module(folder, name):
    """A module beside the folders, which may import its neighbours."""
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(folder))


class Case:
    """One folder: configuration, weights, images and numbers."""

    def __init__(self, folder):
        self.folder, self.is_slim = folder, folder.name.endswith(SLIM)
        self.formula = load_module(folder.parent, "golden_weights_slim" if self.is_slim else "golden_weights")
        self.checkpoints = load_module(folder.parent, "check_slim_example" if self.is_slim else "check_example")
        self.model = read_model(folder)
        self.variables = json.loads((folder / "variables.json").read_text())
        meta = json.loads((folder / "meta.json").read_text())
        noise = {key: moved for key, (moved, _) in meta["noise_1e-6"]["max_abs_diff_and_max_abs"].items()}
        num_stable = meta["noise_1e-6"]["detections_same_in_order_leading_matched_total"][1]
        self.num_regularization_losses = meta["regularization"]["count"]
        self.golden = parity.Golden(read_arrays(folder / "golden.npz"), noise, num_stable)
        elsewhere = sorted(folder.glob("golden_*.npz"))  # the same numbers, computed on other processors
        self.goldens = [self.golden, *(parity.Golden(read_arrays(file), noise) for file in elsewhere)]

    def named(self, detector):
        """{name in variables.json: variable of the detector}."""
        if not self.is_slim:
            return detector.checkpoint_keys()
        variables = {}
        for part in detector.parts():
            for named in part.variables():
                names = [name for name in named.slim_names if name in self.variables]
                assert len(names) == 1, (named.key, named.slim_names)
                variables[names[0]] = named.variable
        return variables

    def moves(self):
        """Whether a step of training changes moving statistics."""
        return len(self.golden.arrays["train/moving_index"]) > 0

    def draws_the_same(self):
        """Whether a second stage is trained with the stored proposals whatever the last bits are."""
        return self.model.HasField("faster_rcnn") and self.model.faster_rcnn.number_of_stages > 1 and not self.moves()

    def without_influence(self):
        """Names of the first generation's variables that no loss depends on: a detector may do without them."""
        if not self.is_slim or not self.golden.has("train/grad_index"):
            return set()
        names = sorted(self.variables)
        layers_with_gradient = {layer_of(names[i]) for i in self.golden.arrays["train/grad_index"]}
        return {name for name in names if layer_of(name) not in layers_with_gradient}

    def write_checkpoint(self, folder):
        """Writes the variables in the layout of the published archives; returns the prefix."""
        prefix = folder / ("model.ckpt" if self.is_slim else "ckpt-0")
        return self.checkpoints.build_checkpoint(str(self.folder), str(prefix))

    def restore(self, prefix, is_training):
        """A detector with the variables of a checkpoint, and the report of what was restored."""
        detector = build.build_detector(self.model, is_training)
        report = restore.restore_trained(detector, prefix)
        self._remove_chance(detector, is_training)
        return detector, report

    def _remove_chance(self, detector, is_training):
        """Samplers draw as they did when the numbers were made, and nothing is dropped."""
        if hasattr(getattr(detector, "backbone", None), "drop_connect_rate"):
            detector.backbone.drop_connect_rate = 0.0
        if self.model.HasField("faster_rcnn"):
            is_static = is_training and self.model.faster_rcnn.use_static_balanced_label_sampler
            detector.sample_order = parity.highest_first if is_static else parity.lowest_first

    def groundtruth(self, variants, num_classes):
        """Of images of the size of the first one, which those of training have."""
        size = self.golden.shape("img0/preprocessed")[1:3]
        has_masks = families.MASKS in families.family_of(self.model).outputs(self.model)

        def of_variant(variant, classes):
            values = self.formula.groundtruth(variant, classes, *size)
            own = values["boxes"], values["classes"].argmax(axis=1).astype(np.int32), values["weights"]
            return (*own, values["masks"].astype(np.uint8)) if has_masks else own

        return parity.make_groundtruth(variants, num_classes, of_variant)

    def take_step(self, prefix):
        """The `TrainingStep` of the two images for training, from a checkpoint."""
        detector, _ = self.restore(prefix, is_training=True)
        if self.draws_the_same():
            training_step.draw_stored_proposals(detector.region_head, self.golden)
        named = self.named(detector)
        return training_step.take_step(
            detector,
            [self.formula.image(*arguments) for arguments in self.formula.TRAIN_IMAGES],
            self.groundtruth([0, 1], detector.num_classes),
            [named.get(name) for name in sorted(self.variables)],
        )


def read_arrays(path):
    with np.load(path) as file:
        return dict(file)


def layer_of(name):
    """Scope of the layer that a variable of the first generation belongs to, with or without its own batch norm."""
    return name.rpartition("/")[0].removesuffix("/BatchNorm")
