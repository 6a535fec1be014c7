"""Explains what a trained detector finds in images, as pictures and a page: the verb `explain`."""

import dataclasses
import io
import pathlib

import numpy as np
from PIL import Image

from tfodhelper import (
    console,
    image_decoding,
    jpeg_dct,
    provenance,
    result_folder,
    spelling,
    storage,
    tensorflow_setup,
)
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.config import trained
from tfodhelper.prediction import sources
from tfodhelper.render import boxes, heat_maps, html, palette

EXPLANATIONS, PAGE = "explanations.json", "explanations.html"
_QUALITY = 90
_LONG_SIDE = 640  # pixels of the pictures; smaller images keep their size
_SHOWN_RIVALS = 5
_MOST_SHOWN = 40  # layers in a message
_LISTING_SIDE = 512  # of the grey image for which layers are listed without a photograph


@dataclasses.dataclass(frozen=True)
class Result:
    """What `explain` has written.

    Attributes:
      folder: with the pictures; None if layers were only listed.
      layers: {name: shape of its output}, where layers were listed, else empty.
      explanations: dicts, the entries of explanations.json.
      filters: dicts of the images to which channels respond most.
    """

    folder: pathlib.Path | None
    layers: dict
    explanations: list
    filters: list


def explain(options):
    """Explains the detections in images.

    Args:
      options: `ExplainOptions`.

    Returns:
      A `Result`.

    Raises:
      UsageError, AnnotationError, ConfigError, CheckpointError, PredictionError, StorageError.
    """
    skipped = []
    images = sources.find_images(options.paths, skipped.append) if options.paths else []
    channels = options.channels
    maker = None
    if not options.list_layers:
        maker = provenance.of_command("explain", options, "output_dir", [source.path for source in images])
        result_folder.check_free(options.output_dir, maker, fix="choose another --output_dir, or remove this one")
    detector, names, dct = _restore(options)
    from tfodhelper.explaining import explainer
    from tfodhelper.prediction import reading

    if options.list_layers:
        image = reading.read_image(images[0].path, dct) if images else _grey()
        return _list_layers(explainer.Explainer(detector, names), image)
    explaining = explainer.Explainer(detector, names, options.layer, options.method)
    with result_folder.whole_folder(options.output_dir, maker) as folder:
        sources.warn_of_skipped(skipped)
        entries, pages = [], []
        with console.Progress("explain: images", len(images)) as progress:
            for source in images:
                writer = _ImageWriter(folder, source, options)
                more, page = writer.write(explaining, reading.read_image(source.path, dct))
                entries += more
                pages.append(page)
                progress.advance()
        filters = [_write_filter(folder, detector, options, channel) for channel in channels]
        storage.write_json(folder / EXPLANATIONS, {"explanations": entries, "filters": filters})
        _write_page(folder, options, pages, filters)
    _summarize(options, entries, len(images), filters)
    return Result(pathlib.Path(options.output_dir), {}, entries, filters)


def _restore(options):
    """The detector with its weights, the names of its classes, and how JPEGs are decoded."""
    model = trained.read_trained(options)
    tensorflow_setup.quiet_tensorflow()
    from tfodhelper.exporting import saved_model

    label_map_path = model.label_map or saved_model.find_label_map(model.config, model.config_path)
    names = {}
    if label_map_path is not None:
        names = {item.id: item.shown_name for item in label_maps.read_label_map(label_map_path)}
    detector = saved_model.restore_detector(model.config, model.checkpoint)
    return detector, names, options.jpeg_dct or jpeg_dct.find(model.checkpoint)


def _grey():
    return np.full([_LISTING_SIDE, _LISTING_SIDE, 3], 128, np.uint8)


def _list_layers(explaining, image):
    shapes = explaining.layers(image)
    rows = [(name, "x".join(map(str, shape))) for name, shape in shapes.items()]
    console.say(console.format_table(("layer", "images x height x width x channels"), rows))
    return Result(None, shapes, [], [])


class _ImageWriter:
    """Writes the pictures of one image."""

    def __init__(self, folder, source, options):
        self._options, self._source = options, source
        self._folder = folder / "images" / pathlib.PurePosixPath(source.name).with_suffix("").as_posix()
        if self._folder.exists():  # a.jpg next to a.png
            self._folder = folder / "images" / source.name
        self._root, self._pictures = folder, []
        self._folder.mkdir(parents=True, exist_ok=True)

    def write(self, explaining, image):
        """Writes the pictures of all detections; returns the entries of the JSON file and the section of the page."""
        from tfodhelper.explaining import deletion

        options = self._options
        explanations, maps = explaining.explain(image, options.score_threshold, options.max_detections)
        random = np.random.default_rng(options.seed)
        entries, cards = [], []
        for number, each in enumerate(explanations):
            measured = deletion.measure(explaining, image, each, random)
            heat = self._save(f"{number}_heat", _draw_heat(image, each))
            origin = self._save(f"{number}_origin", _draw_origin(image, each))
            entries.append(self._entry(each, measured, heat, origin))
            cards += self._cards(each, measured, heat, origin)
        for number, (name, values) in enumerate(maps.items()):
            channels = _strongest(values, options.max_channels)
            path = self._save(f"layer_{number}", heat_maps.tile_channels(values, channels))
            lines = (f"layer {name}", f"channels: {len(channels)} of {values.shape[-1]}, the most active ones")
            cards.append(self._card("activations", path, lines))
        page = {"name": self._source.name, "num": len(entries), "cards": cards}
        return entries, page

    def _save(self, name, picture):
        path = self._folder / f"{name}.jpg"
        with storage.open_whole(path, "wb") as file:
            file.write(_to_jpeg(picture))
        return path

    def _entry(self, each, measured, heat, origin):
        detection, start = each.detection, each.origin
        return {
            "image": str(self._source.path),
            "class": detection.name,
            "id": detection.id,
            "score": _round(detection.score),
            "box": {side: _round(getattr(detection, side)) for side in ("xmin", "ymin", "xmax", "ymax")},
            "layer": each.heat.layer,
            "method": self._options.method,
            "origin": {
                "kind": start.kind,
                "index": start.index,
                "box": _box_to_json(start.start),
                "anchor": None if start.anchor is None else _box_to_json(start.anchor),
            },
            "suppressed": [
                {"box": _box_to_json(box), "score": _round(score)}
                for box, score in zip(start.rivals, start.rival_scores)
            ],
            "deletion": {name: _round(value) for name, value in dataclasses.asdict(measured).items()},
            "pictures": {
                "heat": heat.relative_to(self._root).as_posix(),
                "origin": origin.relative_to(self._root).as_posix(),
            },
        }

    def _cards(self, each, measured, heat, origin):
        detection, start = each.detection, each.origin
        title = f"{detection.name} {detection.score:.0%}"
        lines = (
            f"layer {each.heat.layer}",
            f"best score there {measured.whole:.2f}; with the hottest tenth hidden {measured.hottest:.2f}",
            f"with a random tenth hidden {measured.random:.2f}",
        )
        yield self._card(f"{title}: heat", heat, lines)
        rivals = spelling.count(len(start.rivals), "other box", "other boxes")
        lines = (
            f"from {start.kind} {start.index} (light)" + ("" if start.anchor is None else ", from its anchor (dark)"),
            f"{rivals} for the same object, removed by suppression (grey)",
        )
        yield self._card(f"{title}: boxes", origin, lines)

    def _card(self, name, path, lines):
        return html.Card(name, path.read_bytes(), lines)


def _draw_heat(image, each):
    detection = each.detection
    mark = boxes.Mark(detection.xmin, detection.ymin, detection.xmax, detection.ymax, palette.GOOD, "")
    return _draw(heat_maps.overlay(image, each.heat.values), [mark])


def _draw_origin(image, each):
    detection, start = each.detection, each.origin
    color, text = palette.color_of(detection.id), f"{detection.name} {detection.score:.0%}"
    marks = [boxes.Mark(detection.xmin, detection.ymin, detection.xmax, detection.ymax, color, text)]
    marks.append(_mark(start.start, palette.LIGHT, start.kind))
    if start.anchor is not None:
        marks.append(_mark(start.anchor, palette.DARK, "anchor"))
    marks += [_mark(box, palette.GREY) for box in start.rivals[:_SHOWN_RIVALS]]
    return _draw(image, marks)


def _mark(box, color, text=""):
    ymin, xmin, ymax, xmax = (float(side) for side in box)
    return boxes.Mark(xmin, ymin, xmax, ymax, color, text)


def _draw(image, marks):
    picture = Image.fromarray(image)
    scale = min(1.0, _LONG_SIDE / max(picture.size))
    if scale < 1.0:
        picture = picture.resize([max(1, round(side * scale)) for side in picture.size], Image.Resampling.LANCZOS)
    boxes.draw_marks(picture, marks, (scale, scale))
    return picture


def _strongest(values, most):
    """Numbers of the channels with the highest mean activation, the most active first."""
    return np.argsort(-np.abs(values).mean(axis=(0, 1)), kind="stable")[:most].tolist()


def _write_filter(folder, detector, options, channel):
    from tfodhelper.explaining import maximal_images

    with console.phase(f"filter {channel}"):
        maximal = maximal_images.find_maximal_image(
            detector, options.layer, channel, steps=options.filter_steps, seed=options.seed
        )
    path = folder / "filters" / f"{channel}.png"
    path.parent.mkdir(exist_ok=True)
    with storage.open_whole(path, "wb") as file:
        Image.fromarray(maximal.image).save(file, "PNG")
    return {
        "layer": options.layer,
        "channel": channel,
        "picture": path.relative_to(folder).as_posix(),
        "response": _round(maximal.response),
        "response_to_noise": _round(maximal.first_response),
    }


def _write_page(folder, options, pages, filters):
    cards = [
        html.Card(
            f"channel {each['channel']}",
            _to_jpeg(image_decoding.open_image((folder / each["picture"]).read_bytes())),
            (f"mean activation {each['response']:.4g}; for the noise at the start {each['response_to_noise']:.4g}",),
        )
        for each in filters
    ]
    html.write_page(
        folder / PAGE,
        "explanations.html",
        title="Explanations",
        places=[str(options.trained_checkpoint_dir)],
        links=[("images", "images")] * bool(pages) + [("filters", "filters")] * bool(filters),
        method=options.method,
        images=pages,
        filters=cards,
        layer=options.layer,
    )


def _summarize(options, entries, num_images, filters):
    counted = f"{spelling.count(len(entries), 'detection')} in {spelling.count(num_images, 'image')}"
    console.say(f"explained: {counted}" + (f", {spelling.count(len(filters), 'filter')}" if filters else ""))
    if num_images and not entries:
        console.say(f"nothing was found with a score of at least {options.score_threshold:g}: see --score_threshold")
    if entries:
        whole, hottest, random = (
            sum(each["deletion"][name] for each in entries) / len(entries) for name in ("whole", "hottest", "random")
        )
        console.say(
            f"mean score {whole:.3f}; with the hottest tenth of the image hidden {hottest:.3f}, with a random tenth "
            f"{random:.3f}"
        )
    console.say(f"page: {pathlib.Path(options.output_dir) / PAGE}")


def _to_jpeg(picture):
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
    return buffer.getvalue()


def _box_to_json(box):
    return dict(zip(("ymin", "xmin", "ymax", "xmax"), map(_round, box)))


def _round(value):
    return round(float(value), 6)
