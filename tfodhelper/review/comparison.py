"""A whole set held against a model: which labels are suspected, said and counted."""

import collections

from tfodhelper import console, errors
from tfodhelper.review import suspects


def compare(planned, model, score_threshold=0.5, batch_size=8):
    """Runs a model on all usable images and compares its detections with their boxes.

    Images whose boxes belong to the turned image are passed over: models are given the stored one.

    Args:
      planned: a `plan.Plan`.
      model: a `prediction.predictor.Predictor`.
      score_threshold: least score of a detection that counts as confident.
      batch_size: images a call.

    Returns:
      {image name: list of `suspects.Suspect`s}, for the images that have any.

    Raises:
      PredictionError: the model knows none of the classes of the set.
    """
    names = _shared_classes(planned, model)
    images = [image for image in planned.examination.images if not image.turn]
    by_image, counts = {}, collections.Counter()
    with console.Progress("images compared with the model", len(images)) as progress:
        found = model.predict(
            [str(image.path) for image in images], batch_size=batch_size, score_threshold=suspects.FLOOR
        )
        for image, detections in zip(images, found):
            found_here = suspects.find_suspects(image.annotation, detections, score_threshold, names)
            if found_here:
                by_image[image.name] = found_here
                counts.update(one.kind for one in found_here)
            progress.advance()
    turned = len(planned.examination.images) - len(images)
    if turned:
        console.warn(f"{turned} images that EXIF turns were not compared with the model; --fix writes them turned")
    console.say("")
    rows = [(kind, counts[kind]) for kind in (suspects.MISSING, suspects.OTHER_CLASS, suspects.UNFOUND)]
    console.say(console.format_table(("Suspected label", "Number"), rows, numbers=(1,)))
    for name in suspects.rank(by_image)[:5]:
        kinds = collections.Counter(one.kind for one in by_image[name])
        console.say(f"  {name}: " + ", ".join(f"{kind} {number}" for kind, number in sorted(kinds.items())))
    return by_image


def _shared_classes(planned, model):
    """The class names that both know; None when the model's are not known, so that all count."""
    if planned.label_map is None:
        return set()
    own = {name for item in planned.label_map for name in (item.name, item.display_name) if name}
    known = {item.shown_name for item in model.label_map} if model.label_map is not None else set()
    if not own & known:
        raise errors.PredictionError(
            "the model knows none of the classes of this set",
            expected="one of " + ", ".join(sorted(own)[:10]),
            received=", ".join(sorted(known)[:10]) or "a model without label map",
            fix="name a model that was trained on these classes with --model",
        )
    if own - known:
        console.warn("the model does not know " + ", ".join(sorted(own - known)[:10]) + ": it cannot find them")
    return own & known


def to_json(by_image):
    """Plain values: one dict an image, in the order of the ranks."""
    return [
        {
            "image": name,
            "suspects": [
                {
                    "kind": one.kind,
                    "class": one.box.name,
                    "score": round(one.score, 4),
                    "labelled_class": one.labelled,
                    "box": {tag: getattr(one.box, tag) for tag in ("xmin", "ymin", "xmax", "ymax")},
                }
                for one in by_image[name]
            ],
        }
        for name in suspects.rank(by_image)
    ]
