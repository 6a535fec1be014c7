"""Runs a model on a film or a camera and writes the results: `predict` with a film, or with --camera."""

import collections
import contextlib
import dataclasses
import itertools
import signal
import threading
import time

from tfodhelper import console, errors, invocation, provenance, spelling, tensorflow_setup
from tfodhelper.config import label_maps
from tfodhelper.prediction import film_results, films, predict_images, saved_models, write


@dataclasses.dataclass(frozen=True)
class FilmSummary:
    """What was predicted.

    Attributes:
      num_frames, num_detections: how many.
      problem: why the film could not be read completely, or None.
    """

    num_frames: int
    num_detections: int
    problem: str | None


def predict_film(options, paths=()):
    """Predicts the frames of a film or of a camera, and writes the detections.

    Args:
      options: `PredictOptions`.
      paths: the film; none with a camera.

    Returns:
      `FilmSummary`.

    Raises:
      UsageError: there are other paths besides one film, or options that have no effect with it.
      PredictionError, AnnotationError, ConfigError, StorageError.
    """
    _check_options(options, paths)
    films.import_decoder()
    saved_models.find_model(options.saved_model_dir)
    label_map_path = label_maps.find_label_map(options.label_map)
    # A camera never gives the same again.
    maker = None if options.camera is not None else provenance.of_command("predict", options, "output_dir", paths)
    write.check_output_dir(options.output_dir, maker)
    source = films.open_film(paths[0]) if options.camera is None else films.open_camera(options.camera)
    with source as film:
        tensorflow_setup.quiet_tensorflow()
        model = predict_images.load_model(options, label_map_path)
        drawn_rate = None if film.rate is None else film.rate / options.every
        with film_results.FilmResultWriter(options.output_dir, drawn_rate, options.draw, maker) as writer:
            rate = _predict(options, model, film, writer)
            if film.problem is not None:
                console.warn(f"{film.name}: {film.problem}; what could be read is kept")
                writer.write_problem(film.name, film.problem)
    _summarize(options, film, writer, rate)
    return FilmSummary(writer.num_frames, writer.num_detections, film.problem)


def _check_options(options, paths):
    if options.camera is not None and paths:
        raise errors.UsageError("--camera cannot be combined with files", fix="leave out --camera, or the files")
    if options.image_dir is not None or len(paths) > 1:
        raise errors.UsageError(
            "a film is predicted by itself",
            expected="one film",
            received=", ".join(
                [*map(str, paths), *([f"--image_dir={options.image_dir}"] if options.image_dir else [])]
            ),
            fix="type one command for each film, and one for the images",
        )
    if options.write_xml:
        raise errors.UsageError(
            "--write_xml has no effect with films, which LabelImg does not open",
            fix="leave it out, or save frames as images first",
        )


def _predict(options, model, film, writer):
    """Predicts frames and passes them to the writer, in order; returns how many per second, or None for too few.

    The first frame is not counted: until then, the model gets ready.
    """
    total = None if film.num_frames is None else -(-film.num_frames // options.every)
    if options.max_frames is not None:
        total = min(total or options.max_frames, options.max_frames)
    if film.is_live:
        console.say("Ctrl-C ends the recording and keeps what was predicted")
    start, waiting = None, collections.deque()
    with console.Progress("frames", total) as progress, _stoppable(film.is_live) as is_stopped:

        def read():
            for frame in itertools.islice(film.read(options.every), options.max_frames):
                if is_stopped.is_set():
                    return
                waiting.append(frame)
                yield frame.image

        batch_size = 1 if film.is_live else options.batch_size
        for outcome in model.stream(read(), batch_size=batch_size, score_threshold=options.score_threshold):
            frame = waiting.popleft()
            writer.write(frame, dataclasses.replace(outcome.found, path=film.name))
            progress.advance(text=f"{frame.time_s:.1f} s of the film")
            start = start or time.monotonic()
    return (writer.num_frames - 1) / (time.monotonic() - start) if writer.num_frames > 1 else None


@contextlib.contextmanager
def _stoppable(is_live):
    """Lets the first Ctrl-C end the frames of a camera, and the second one the program.

    Yields:
      An event that is set when the frames are to end.
    """
    event = threading.Event()
    if not is_live or threading.current_thread() is not threading.main_thread():
        yield event
        return

    def stop(*_):
        event.set()
        signal.signal(signal.SIGINT, former)

    former = signal.signal(signal.SIGINT, stop)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, former)


def _summarize(options, film, writer, rate):
    """Prints what was found, how fast, and where it is."""
    folder = options.output_dir
    frames, objects = spelling.count(writer.num_frames, "frame"), spelling.count(writer.num_detections, "detection")
    console.say(f"{frames}, {objects} with a score of {options.score_threshold:g} or more")
    if rate is not None:
        own = "" if film.rate is None else f"; {film.name} has {film.rate:.4g}"
        console.say(f"{rate:.1f} frames per second{own}")
    console.say(f"{folder}/{write.DETECTIONS}: one line per frame, with its number and its time in seconds")
    if options.draw:
        console.say(f"{folder}/{film_results.FILM}: the film with boxes")
    else:
        source = {"camera": options.camera} if film.is_live else {}
        paths = [] if film.is_live else [film.name]
        flags = {"saved_model_dir": options.saved_model_dir, "output_dir": "OTHER_FOLDER", "draw": True, **source}
        console.say_next(invocation.format_command("predict", *paths, **flags))
