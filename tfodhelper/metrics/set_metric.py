"""What metrics of detections have in common: images are collected, and figures computed from all of them at once."""

import abc

from tfodhelper.metrics import collector, overlaps


class SetMetric(abc.ABC):
    """A metric of detections; `compute` is that of the metric.

    It can take the images itself (`update`, then `result`), or be one of several that share the images and their
    overlaps (`build.MetricsGroup`).

    Args:
      categories: {id: name}, ids from 1.

    Attributes:
      least_overlap: smallest IoU that the metric asks for.
    """

    least_overlap = overlaps.LEAST

    def __init__(self, categories):
        self._collector = collector.Collector(categories)

    def reset(self):
        """Forgets all images."""
        self._collector.reset()

    def update(self, image_id, groundtruth, detections):
        """Counts one image; an image whose id has already come is left out.

        Args:
          image_id: int or str.
          groundtruth: see `examples.check_groundtruth`.
          detections: see `examples.check_predictions`.
        """
        self.look(image_id, groundtruth, detections)
        self._collector.add(image_id, groundtruth, detections)

    def look(self, image_id, groundtruth, detections):
        """Sees an image when it arrives, for what the shared columns do not hold, such as masks; arguments as `update`.

        An image whose id has already come must be left out.
        """
        del image_id, groundtruth, detections

    def result(self):
        """Returns {tag: value}, see `compute`."""
        return self.compute(overlaps.SetOverlaps(self._collector.finish(), self.least_overlap))

    @abc.abstractmethod
    def requests(self):
        """What the figures are made of, for `overlaps.SetOverlaps.results`."""

    @abc.abstractmethod
    def compute(self, overlapping):
        """Returns {tag: value} of an `overlaps.SetOverlaps`."""
