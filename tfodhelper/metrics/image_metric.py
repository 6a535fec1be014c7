"""What metrics of detections have in common: each image is checked, counted once, and kept as a row."""

import abc

from tfodhelper.metrics import examples


class ImageMetric(abc.ABC):
    """A metric that turns each image into a row when it arrives; `_make_row` and `result` are those of the metric.

    Args:
      categories: {id: name}, ids from 1.
    """

    def __init__(self, categories):
        self._categories = examples.Categories(categories)
        self.reset()

    def reset(self):
        """Forgets all images."""
        self._seen = examples.SeenImages()
        self._rows = []

    def update(self, image_id, groundtruth, detections):
        """Counts one image; an image whose id has already come is left out.

        Args:
          image_id: int or str.
          groundtruth: see `examples.check_groundtruth`.
          detections: see `examples.check_predictions`.
        """
        gt = examples.check_groundtruth(image_id, groundtruth)
        predictions = examples.check_predictions(image_id, detections)
        if self._seen.add(image_id) is not None:
            self._rows.append(self._make_row(gt, predictions))

    @abc.abstractmethod
    def _make_row(self, gt, predictions):
        """Counts the ground truth of an image and returns a tuple of arrays [D, ...] of its detections."""

    def _sorted_rows(self):
        """The rows in an order that does not depend on the order of arrival; warns of repeated ids."""
        self._seen.warn_of_repeated()
        return [self._rows[index] for index in self._seen.sorted_indices()]
