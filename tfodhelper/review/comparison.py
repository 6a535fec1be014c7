"""Compares a set with a model, and counts and prints the suspected labels."""

import collections

from tfodhelper import console, errors, spelling
from tfodhelper.review import suspects


def compare(planned, model, score_threshold=0.5, batch_size=8):
    """Runs a model on all usable images and compares its detections with their boxes.

    Images whose boxes belong to the rotated image are skipped: models receive the stored one.

    Args:
      planned: a `plan.Plan`.
      model: a `prediction.predictor.StreamPredictor`.
      score_threshold: minimum score of a detection that counts as confident.
      batch_size: images per call.

    Returns:
      {image name: list of `suspects.Suspect`s}, for the images that have any.

    Raises:
      PredictionError: the model knows none of the classes of the set.
    """
    names = _shared_classes(planned, model)
    images = [image for image in planned.examination.images if not image.turn]
    by_image, counts = {}, collections.Counter()
    with console.Progress("images compared with the model", len(images)) as progress:
        predictions = model.predict(
            [str(image.path) for image in images], batch_size=batch_size, score_threshold=suspects.FLOOR
        )
        for image, predicted in zip(images, predictions):
            image_suspects = suspects.find_suspects(image.annotation, predicted, score_threshold, names)
            if image_suspects:
                by_image[image.name] = image_suspects
                counts.update(suspect.kind for suspect in image_suspects)
            progress.advance()
    turned = len(planned.examination.images) - len(images)
    if turned:
        number = spelling.count(turned, "image that EXIF rotates was", "images that EXIF rotates were")
        console.warn(f"{number} not compared with the model; --fix writes rotated copies")
    console.say("")
    rows = [(kind, counts[kind]) for kind in (suspects.MISSING, suspects.OTHER_CLASS, suspects.UNFOUND)]
    console.say(console.format_table(("Suspected label", "Number"), rows, numbers=(1,)))
    for name in suspects.rank(by_image)[:5]:
        kinds = collections.Counter(suspect.kind for suspect in by_image[name])
        console.say(f"  {name}: " + ", ".join(f"{kind} {number}" for kind, number in sorted(kinds.items())))
    return by_image


def _shared_classes(planned, model):
    """The class names that both know; an empty set without a label map."""
    if planned.label_map is None:
        return set()
    own = {name for item in planned.label_map for name in (item.name, item.display_name) if name}
    known = {item.shown_name for item in model.label_map} if model.label_map is not None else set()
    if not own & known:
        raise errors.PredictionError(
            "the model knows none of the classes of this set",
            expected="one of " + ", ".join(sorted(own)[:10]),
            received=", ".join(sorted(known)[:10]) or "a model without a label map",
            fix="choose a model that was trained on these classes with --model",
        )
    if own - known:
        console.warn("the model does not know " + ", ".join(sorted(own - known)[:10]) + ": it cannot find them")
    return own & known


def to_json(by_image):
    """Plain values: one dict per image, in the order of rank."""
    return [
        {
            "image": name,
            "suspects": [
                {
                    "kind": suspect.kind,
                    "class": suspect.box.name,
                    "score": round(suspect.score, 4),
                    "labelled_class": suspect.labelled,
                    "box": {tag: getattr(suspect.box, tag) for tag in ("xmin", "ymin", "xmax", "ymax")},
                }
                for suspect in by_image[name]
            ],
        }
        for name in suspects.rank(by_image)
    ]
