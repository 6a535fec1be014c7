"""Measures one exported model, in a process of its own, so that its memory is its own.

Reads a request from the standard input and writes lines of JSON: {"model": ..., ...} or {"error": ...}.
"""

import itertools
import json
import os
import pathlib
import sys
import threading
import time

import numpy as np

from tfodhelper import errors, machine_memory, tensorflow_setup

ANSWER = "benchmark-answer: "  # before the line with the result, among what is printed
_WARM_UP = 3  # calls that prepare things and are not counted
_NOISE_SIZE = (480, 640)
_LOOK_S = 0.5  # between two checks that the process that waits for the answer still lives


def main():
    """Measures what the request says; the last line of the output is the answer."""
    request = json.loads(sys.stdin.read())
    threading.Thread(target=_end_with, args=[request["process"]], daemon=True).start()
    tensorflow_setup.quiet_tensorflow()
    try:
        answer = measure(request)
    except errors.TfodhelperError as error:
        answer = {"error": str(error)}
    sys.stdout.write(f"\n{ANSWER}{json.dumps(answer)}\n")


def _end_with(process):
    """Ends this process when the one that started it has been killed: nobody waits for the answer any more."""
    while os.name == "nt" or os.getppid() == process:
        time.sleep(_LOOK_S)
    os._exit(1)


def measure(request):
    """Measures a model.

    Args:
      request: {"model", "data_dir", "records", "label_map", "num_images", "trust_model"}; data_dir is a folder with
        LabelImg XML and records a pattern of record files, of which at most one is given.

    Returns:
      {"load_s", "image_ms", "image_ms_90", "num_timed", "memory_bytes", "mean_ap", "mean_ap_50", "num_images"}; figures
      that could not be measured are None. Times are those of one image per call, decoded in memory, to detections.

    Raises:
      PredictionError, DatasetError: the model or the images cannot be used.
    """
    from tfodhelper.prediction import predictor

    start = time.perf_counter()
    model = predictor.StreamPredictor(request["model"], request["label_map"], trust_model=request["trust_model"])
    images = list(itertools.islice(_images(request), request["num_images"]))
    loaded = time.perf_counter()
    seconds = _time(model, images)
    figures = {
        "load_s": loaded - start,
        "image_ms": 1000 * float(np.median(seconds)),
        "image_ms_90": 1000 * float(np.quantile(seconds, 0.9)),
        "num_timed": len(seconds),
        "memory_bytes": machine_memory.peak_of_process(),
    }
    return figures | _precision(request)


def _time(model, images):
    """Seconds of each call; each image size is prepared once before, since a model may be traced for it."""
    for image in [*{image.shape: image for image in images}.values(), *images[:1] * _WARM_UP]:
        model.detect([image], batch_size=1)
    seconds = []
    for image in images:
        start = time.perf_counter()
        model.detect([image], batch_size=1)
        seconds.append(time.perf_counter() - start)
    return seconds


def _images(request):
    """Yields images, uint8 [height, width, 3]: those of the set, or noise."""
    from tfodhelper.prediction import reading, sources

    if request["records"]:
        yield from _images_of_records(request["records"])
    elif request["data_dir"]:
        for source in sources.find_images([request["data_dir"]], lambda finding: None):
            try:
                yield reading.read_image(source.path)
            except errors.PredictionError:
                continue
    else:
        random = np.random.RandomState(0)
        for _ in range(request["num_images"]):
            yield random.randint(0, 256, [*_NOISE_SIZE, 3]).astype(np.uint8)


def _images_of_records(pattern):
    import tensorflow as tf

    from tfodhelper.annotations.findings import Finding
    from tfodhelper.formats import tfrecord_reader

    for record in tfrecord_reader.read_records(tfrecord_reader.list_filled(pattern)):
        if not isinstance(record, Finding):
            yield tf.io.decode_image(record.data, channels=3, expand_animations=False).numpy()


def _precision(request):
    if not (request["records"] or request["data_dir"]):
        return {"mean_ap": None, "mean_ap_50": None, "num_images": 0}
    from tfodhelper import export_evaluation
    from tfodhelper.evaluation_options import EvalOptions

    data = {"records": request["records"]} if request["records"] else {"data_dir": request["data_dir"]}
    options = EvalOptions(
        saved_model_dir=request["model"], label_map=request["label_map"], trust_model=request["trust_model"], **data
    )
    _, analysis = export_evaluation.evaluate(options)
    summary = analysis["summary"]
    return {"mean_ap": summary["ap"], "mean_ap_50": summary["ap50"], "num_images": summary["num_images"]}


def size_of(path):
    """Bytes of a model: of a file, or of a SavedModel's graph and variables."""
    path = pathlib.Path(path)
    if path.is_file():
        return path.stat().st_size
    files = [path / name for name in ("saved_model.pb", "saved_model.pbtxt")] + list(path.glob("variables/*"))
    return sum(file.stat().st_size for file in files if file.is_file())


if __name__ == "__main__":
    main()
