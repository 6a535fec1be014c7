"""The catalogue of the models published by the Object Detection API, in both generations.

The facts are in published_models.csv: speed and mAP are those published with the models, measured on other machines and
partly on datasets other than COCO; they serve to compare models, not to predict results.
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
# Parts of an archive's name other than the model, which short names leave out one after the other.
_DROPPED = (
    r"20\d\d_\d\d_\d\d",  # date
    r"sync|tpu-\d+|gpu-\d+|od|quant(?=$)",  # hardware, kind of training
    r"coco(14|17)?",
    "shared_box_predictor",
    r"kitti|fgvc|oid(_v4)?|open_image_v4",  # further datasets
)
_ALIAS = re.compile(r"\((RetinaNet\d+)\)")  # in titles
# The published configuration files have names of their own; folded: ssd_efficientdet_d0_512x512_coco17_tpu_8.
_OF_CONFIGURATIONS = (
    (r"_(tpu|gpu)_\d+$", ""),
    (r"_coco17$", ""),
    (r"^ssd_(efficientdet_d\d)(_\d+x\d+)?$", r"\1"),
)


@dataclasses.dataclass(frozen=True)
class ZooModel:
    """One published model.

    Attributes:
      name: the archive's name without .tar.gz.
      title: the name under which it was published.
      generation: "tf2" or "tf1".
      trained_on: the dataset.
      speed_ms: milliseconds per image, as published, or "".
      map: mean average precision in percent, as published; "boxes/keypoints" or "boxes/masks" if there are two.
      outputs: "Boxes", "Boxes/Masks", "Boxes/Keypoints", "Masks" or "Keypoints".
      family: backbone and architecture; models of a family share code.
      url: address of the published archive, or "" if only a configuration was published.
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
    def trainable_here(self) -> bool:
        """Whether there is a base pipeline.config, so that `config`, `train` and `run` accept the model."""
        return self.name in base_configs.base_names()

    @property
    def short_names(self) -> tuple[str, ...]:
        """Names that people use, most specific first: without date, hardware and dataset; finally without the size."""
        names = [self.name]
        for part in _DROPPED:
            names.append(re.sub(rf"_({part})(?=_|$)", "", names[-1]))
        names.append(_SIZE.sub("", names[-1]))
        if alias := _ALIAS.search(self.title):
            names += [alias[1].lower() + "".join(match[0] for match in _SIZE.finditer(self.name)), alias[1].lower()]
        names += [re.sub(r"(resnet\d+|hg104)_v1(?!_fpn)", r"\1", name) for name in names]
        return tuple(name for name in dict.fromkeys(names) if name != self.name)

    @property
    def rank(self) -> tuple[bool, bool, bool, int, int]:
        """Sort key of models with one short name: second generation, COCO, boxes, smallest input, newest first."""
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
    """All published models, in the order of the published lists."""
    text = importlib.resources.files("tfodhelper.zoo").joinpath("published_models.csv").read_text(encoding="utf-8")
    return tuple(ZooModel(**row) for row in csv.DictReader(text.splitlines()))


@functools.cache
def all_models():
    """The models of `catalogue`, followed by those of which only the configuration was published."""
    return catalogue() + tuple(ZooModel(**row) for row in _WITHOUT_WEIGHTS)


def find_model(name):
    """Finds a model by its archive's name, its published title or a short name.

    Args:
      name: for example "ssd_mobilenet_v1", "faster_rcnn_resnet50", "SSD MobileNet v2 320x320".

    Returns:
      A `ZooModel`; if a short name matches several, the first by `ZooModel.rank`.

    Raises:
      ZooError: no model matches; the message suggests similar names.
    """
    wanted = _fold(name)
    of_configuration = wanted
    for pattern, instead in _OF_CONFIGURATIONS:
        of_configuration = re.sub(pattern, instead, of_configuration)
    for wanted_now, names_of in (
        (wanted, lambda model: (model.name,)),
        (wanted, lambda model: (model.title,)),
        (wanted, lambda model: model.short_names),
        (wanted, lambda model: [f"{short}_coco" for short in model.short_names]),
        (of_configuration, lambda model: model.short_names),
    ):
        matches = [model for model in all_models() if wanted_now in map(_fold, names_of(model))]
        if matches:
            return min(matches, key=lambda model: model.rank)
    near = near_models(name)
    raise errors.ZooError(
        f"there is no model {name!r} in the zoo",
        fix=(f"did you mean {' or '.join(near)}? " if near else "") + "`tfodhelper zoo` lists all models",
    )


def preferred_name(name):
    """The shortest name by which `find_model` finds the model of this archive."""
    model = next(model for model in all_models() if model.name == name)
    names = [short for short in sorted(model.short_names, key=len) if find_model(short) == model]
    return names[0] if names else name


def near_models(name, count=4):
    """Names similar to an unknown name: those that contain all its words, then those with a similar spelling."""
    wanted = _fold(name)
    words = [word for word in wanted.split("_") if word]
    containing = [model.name for model in sorted(all_models(), key=_trainable_first) if _contains(model, words)]
    shorts = [short for model in all_models() for short in model.short_names]
    alike = spelling.nearest(wanted, dict.fromkeys(shorts), count)
    return list(dict.fromkeys((containing if len(containing) <= 2 * count else []) + alike))[:count]


def list_models(text=""):
    """Models whose name, title, family or dataset contains every word of `text`; all for an empty text."""
    words = [word for word in _fold(text).split("_") if word]
    return [model for model in all_models() if _contains(model, words)]


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


def _contains(model, words):
    text = _fold(" ".join((model.name, model.title, model.family, model.trained_on, model.outputs)))
    return all(word in text for word in words)


def _fold(name):
    """The name in lower case, with words joined by single underscores."""
    name = re.sub(r"\.(tar\.gz|tgz|config)$", "", name.strip())
    return re.sub(r"[\s_-]+", "_", name).casefold()
