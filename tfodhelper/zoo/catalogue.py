"""The catalogue of the models that the Object Detection API published, in both its generations.

The facts stand in published_models.csv: speed and mAP are those that were published with the models, measured on other
machines and in part on other sets than COCO, so they compare models and promise nothing.
"""

import csv
import dataclasses
import functools
import importlib.resources
import re

from tfodhelper import console, errors, spelling
from tfodhelper.zoo import base_configs

_WITHOUT_WEIGHTS = (
    {
        "generation": "tf2",
        "trained_on": "COCO 2017",
        "name": "faster_rcnn_resnet50_v1_fpn_640x640_coco17_tpu-8",
        "title": "Faster R-CNN ResNet50 V1 FPN 640x640",
        "speed_ms": "",
        "map": "31.4",
        "outputs": "Boxes",
        "family": "faster_rcnn_resnet_fpn",
        "url": "",
    },
)

_SIZE = re.compile(r"_(\d+)x(\d+)(?=_|$)")
# What an archive's name says besides the model: data set, date, hardware, how it was trained.
_DROPPED = re.compile(
    r"_(20\d\d_\d\d_\d\d|coco(14|17)?|sync|tpu-\d+|gpu-\d+|od|shared_box_predictor|quant(?=$)|kitti|fgvc|oid(_v4)?)(?=_|$)"
)


@dataclasses.dataclass(frozen=True)
class ZooModel:
    """One published model.

    Attributes:
      name: the archive's name without .tar.gz.
      title: the name that it was published under.
      generation: "tf2" or "tf1".
      trained_on: the data set.
      speed_ms: milliseconds an image, as published, or "".
      map: mean average precision in percent, as published; "boxes/keypoints" or "boxes/masks" where there are two.
      outputs: "Boxes", "Boxes/Masks", "Boxes/Keypoints", "Masks" or "Keypoints".
      family: backbone and architecture; models of a family share code.
      url: where the archive was published, or "" where only a configuration was.
    """

    generation: str
    trained_on: str
    name: str
    title: str
    speed_ms: str
    map: str
    outputs: str
    family: str
    url: str

    @property
    def trainable_here(self):
        """Whether a base pipeline.config is there, so that `config`, `train` and `run` take the model."""
        return self.name in base_configs.base_names()

    @property
    def short_names(self):
        """Names that people use, most telling first: without data set, date and hardware; then without the size."""
        plain = _DROPPED.sub("", _DROPPED.sub("", self.name))
        names = [plain, _SIZE.sub("", plain)]
        names += [re.sub(r"(resnet\d+|hg104)_v1(?!_fpn)", r"\1", name) for name in names]
        return tuple(dict.fromkeys(names))

    @property
    def rank(self):
        """Among models of the same short name: second generation, COCO, boxes, smallest input, newest first."""
        size = _SIZE.search(self.name)
        date = "".join(re.findall(r"/(20\d{6})/", self.url)) or "0"
        return (
            self.generation != "tf2",
            not self.trained_on.startswith("COCO"),
            self.outputs != "Boxes",
            int(size[1]) * int(size[2]) if size else 0,
            -int(date),
        )


@functools.cache
def catalogue():
    """All published models, in the order of publication lists."""
    text = importlib.resources.files("tfodhelper.zoo").joinpath("published_models.csv").read_text(encoding="utf-8")
    return tuple(ZooModel(**row) for row in csv.DictReader(text.splitlines()))


@functools.cache
def all_models():
    """The models of `catalogue`, then those of which the configuration alone was published."""
    return catalogue() + tuple(ZooModel(**row) for row in _WITHOUT_WEIGHTS)


def find_model(name):
    """Finds a model by its archive's name, its published title or a short name.

    Args:
      name: for instance "ssd_mobilenet_v1", "faster_rcnn_resnet50", "SSD MobileNet v2 320x320".

    Returns:
      A `ZooModel`; where a short name fits several, the one of the second generation with the smallest input.

    Raises:
      ZooError: when none fits, with the nearest names.
    """
    wanted = _fold(name)
    for names_of in (
        lambda model: (model.name,),
        lambda model: (model.title,),
        lambda model: model.short_names,
        lambda model: [f"{short}_coco" for short in model.short_names],
    ):
        found = [model for model in all_models() if wanted in map(_fold, names_of(model))]
        if found:
            return min(found, key=lambda model: model.rank)
    near = near_models(name)
    raise errors.ZooError(
        f"there is no model {name!r} in the zoo",
        fix=(f"did you mean {' or '.join(near)}? " if near else "") + "`tfodhelper zoo` lists all",
    )


def preferred_name(name):
    """The shortest name that finds the model of this archive."""
    model = next(model for model in all_models() if model.name == name)
    names = [short for short in sorted(model.short_names, key=len) if find_model(short) == model]
    return names[0] if names else name


def near_models(name, count=4):
    """Names like a name that was not found: those that hold all its words, then those that are spelled alike."""
    wanted = _fold(name)
    words = [word for word in wanted.split("_") if word]
    holding = [model.name for model in sorted(all_models(), key=_trainable_first) if _holds(model, words)]
    shorts = [short for model in all_models() for short in model.short_names]
    alike = spelling.nearest(wanted, dict.fromkeys(shorts), count)
    return list(dict.fromkeys((holding if len(holding) <= 2 * count else []) + alike))[:count]


def list_models(text=""):
    """Models whose name, title, family or data set holds every word of `text`; all for an empty text."""
    words = [word for word in _fold(text).split("_") if word]
    return [model for model in all_models() if _holds(model, words)]


def format_models(models):
    """The table that `tfodhelper zoo` prints."""
    rows = [
        (
            model.name,
            model.generation.upper(),
            model.speed_ms or "-",
            model.map or "-",
            model.outputs,
            model.trained_on,
            "yes" if model.trainable_here else "not yet",
        )
        for model in models
    ]
    header = ("MODEL", "GENERATION", "MS", "MAP", "OUTPUTS", "TRAINED ON", "TRAINS HERE")
    return console.format_table(header, rows, numbers=(2, 3))


def _trainable_first(model):
    return (not model.trainable_here, *model.rank)


def _holds(model, words):
    text = _fold(" ".join((model.name, model.title, model.family, model.trained_on, model.outputs)))
    return all(word in text for word in words)


def _fold(name):
    """Lower case, words joined by one underscore."""
    name = re.sub(r"\.(tar\.gz|tgz|config)$", "", name.strip())
    return re.sub(r"[\s_-]+", "_", name).casefold()
