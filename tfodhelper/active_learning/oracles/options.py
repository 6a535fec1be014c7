"""The options of each oracle.

The text of an option is part of a sentence: an option that several oracles share is one flag, and its help joins the
texts.
"""

import dataclasses

from tfodhelper import options
from tfodhelper.dataset.options import COPY, LINK

BEST, ALL, ZONES, REFUSE = "best", "all", "zones", "refuse"
LEARN, SKIP = "learn", "skip"
COMPLETE, FOUND = "complete", "found"
AUTO, CORRECT, IGNORE = "auto", "correct", "ignore"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageLabelOptions(options.Options):
    """Rules of adoption.

    Attributes:
      score_threshold: also what "found" means below. None: 0.5; in zones 0, since they say what is an object.
      several_boxes: "zones" adopts all, each with the weights that boxes of its class and score deserve, see `zones`;
        "best" adopts the best one alone, which suits sets with one object per image and leaves other objects
        unlabelled; "all" adopts all that reach `min_box_score`; "refuse" refuses the image.
      min_box_score: None for `score_threshold`, or for `zones.LOWEST_SCORE`, from which on there are ignored regions.
        A higher value adopts only more certain boxes; with a lower one and several_boxes="all", the best box vouches
        for weaker ones of its class.
      doubtful_places: "skip" learns only the class of an object in zones whose place is doubtful, see `zones`; "learn"
        learns its place as well.
      several_classes: what an image whose label names several classes requires: "complete": each of them was found;
        "found": the best detection has one of them, and those found are adopted.
      other_classes: "correct" gives a box of another class that of the image, see `known_classes`; "ignore" leaves it
        out, and refuses an image whose best detection it is; "refuse" refuses the image wherever there is one; "auto"
        is "correct" in zones, and "ignore" otherwise.
    """

    score_threshold: float | None = options.option(
        None, "minimum score of the best detection of an image; when omitted, 0.5, or in zones 0", least=0, most=1
    )
    several_boxes: str = options.option(
        ZONES,
        "several boxes of one class: adopt all in zones (objects count as much as their score, doubtful ones are "
        "ignored regions; the validation images say from which score on), the best, all, or refuse the image",
        choices=(BEST, ALL, ZONES, REFUSE),
    )
    min_box_score: float | None = options.option(
        None, "minimum score of an adopted box; when omitted, score_threshold, or in zones 0.1", least=0, most=1
    )
    doubtful_places: str = options.option(
        LEARN,
        "the place of an object in zones that may not be close: learn it, or skip it and learn the class alone",
        choices=(LEARN, SKIP),
    )
    several_classes: str = options.option(
        COMPLETE,
        "an image with several classes: all of them must be found, or those found are adopted",
        choices=(COMPLETE, FOUND),
    )
    other_classes: str = options.option(
        AUTO,
        "another class than those of the image was found: correct it (the box counts for the class of the image), "
        "ignore it unless it is the best detection, or refuse the image; auto: correct in zones, otherwise ignore",
        choices=(AUTO, CORRECT, IGNORE, REFUSE),
    )
    max_overlap: float = options.option(0.5, "maximum intersection over union of two adopted boxes", least=0, most=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelImgOptions(options.Options):
    """What drafts contain, and where they are written.

    Attributes:
      review_dir: folder in which each round gets its own folder, named after its number; None for "review" in the
        round's folder.
      max_overlap: boxes that overlap a better one, whatever its class, by more than this intersection over union are
        left out.
    """

    review_dir: options.Path | None = options.option(
        None, "folder for the drafts of all rounds; when omitted, each round has its own"
    )
    score_threshold: float = options.option(0.5, "minimum score of a box in a draft", least=0, most=1)
    max_overlap: float = options.option(
        0.5, "maximum intersection over union of two boxes in a draft, of any classes", least=0, most=1
    )
    review_images: str = options.option(LINK, "how images get into the review folder", choices=(LINK, COPY))


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelStudioOptions(options.Options):
    """Where Label Studio is, and what drafts contain.

    Attributes:
      studio_url: of the server.
      studio_project: number of the project.
      studio_token_file: its only line is the token; None for the environment variable LABEL_STUDIO_API_KEY.
      max_overlap: boxes that overlap a better one, whatever its class, by more than this intersection over union are
        left out.
    """

    studio_url: str | None = options.option(
        None, "address of the server, such as http://localhost:8080", may_change=True
    )
    studio_project: int | None = options.option(None, "number of the project, as in its address", least=1)
    studio_token_file: options.Path | None = options.option(
        None, "file with the token; when omitted, it is in $LABEL_STUDIO_API_KEY", may_change=True
    )
    score_threshold: float = options.option(0.5, "minimum score of a box in a draft", least=0, most=1)
    max_overlap: float = options.option(
        0.5, "maximum intersection over union of two boxes in a draft, of any classes", least=0, most=1
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class BrowserOptions(LabelImgOptions):
    """What drafts contain, where they are written, and where the page is."""

    port: int = options.option(
        0, "port of the page on this machine; 0 takes one that is free", least=0, most=65535, may_change=True
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimulatedOptions(options.Options):
    """Where the truth is, and how its cost is counted.

    Attributes:
      truth_dir: searched with its subfolders.
      score_threshold: detections with at least this score would have been in the draft that a person corrects.
      keep_iou: a box of the draft with the right class that overlaps the true one by at least this intersection over
        union counts as one that a person would have left unchanged.
      max_overlap: detections that overlap a better one by more than this would not have been in the draft.
    """

    truth_dir: options.Path | None = options.option(None, "folder of the hidden annotation files")
    score_threshold: float = options.option(
        0.5, "minimum score of a box in the draft that a person would have corrected", least=0, most=1
    )
    keep_iou: float = options.option(
        0.75, "minimum overlap with the true box for a person to have kept a box", least=0, most=1
    )
    max_overlap: float = options.option(
        0.5, "maximum intersection over union of two boxes in a draft, of any classes", least=0, most=1
    )


OPTIONS = {
    "image_label": ImageLabelOptions,
    "browser": BrowserOptions,
    "labelimg": LabelImgOptions,
    "label_studio": LabelStudioOptions,
    "simulated": SimulatedOptions,
}
EXPLANATIONS = {
    "image_label": "the class that each image is known to show",
    "browser": "a person on a page in the browser",
    "labelimg": "a person with LabelImg",
    "label_studio": "a person with Label Studio, on a server that is running",
    "simulated": "hidden annotation files, for experiments",
}


def shared_options():
    """{name: Option} of all oracles; a shared one says what it means for each, and None leaves each its default."""
    entries = {}
    for oracle, kind in OPTIONS.items():
        for each in options.options_of(kind):
            entries.setdefault(each.name, []).append((oracle, each))
    return {name: _join(pairs) for name, pairs in entries.items()}


def _join(pairs):
    oracles = {}
    for oracle, each in pairs:
        default = "" if each.default is None else f" (default {each.default})"
        oracles.setdefault(each.text + default, []).append(oracle)
    texts = [f"{', '.join(names)}: {text}" for text, names in oracles.items()]
    choices = tuple(sorted({choice for _, each in pairs for choice in each.choices}))
    return dataclasses.replace(
        pairs[0][1], text="; ".join(texts) + ".", choices=choices, takes_none=True, default=None, title="Oracle"
    )
