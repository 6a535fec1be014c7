"""Predicts a pool with Ray Data: the same model class as in `pool_predictor`, in actors on any number of machines.

Users call `tfodhelper.predict_with_ray`. Without Ray, `predict_pool` with its shards does the same work.
"""

import numpy as np

from tfodhelper.active_learning.pool import pool_predictor, predictions
from tfodhelper.active_learning.structures import PoolImage


class RayModel:
    """A SavedModel in the form that Ray Data calls with a batch of rows.

    Args:
      saved_model_dir: folder of the SavedModel, or of the export around it.
      options: of `pool_predictor.PoolModel`.
    """

    def __init__(self, saved_model_dir, **options):
        self._model = pool_predictor.PoolModel(saved_model_dir, **options)

    def __call__(self, rows):
        """Predicts the images of some rows.

        Args:
          rows: {column: array [n]} with the columns `name` and `path`.

        Returns:
          {column: array [n]}: `name`; `prediction`, a line of `predictions.to_line`, empty for an image that cannot be
          read; `problem`, why it cannot be read, otherwise empty; and `features`, float32 [n, D], zeros for such an
          image, if the model has features and any image could be read.
        """
        images = [PoolImage(str(name), str(path)) for name, path in zip(rows["name"], rows["path"])]
        answers = list(self._model.predict(images))
        is_read = [not isinstance(answer, predictions.Unreadable) for answer in answers]
        columns = {
            "name": np.array([answer.name for answer in answers], object),
            "prediction": np.array(
                [predictions.to_line(answer) if good else "" for answer, good in zip(answers, is_read)], object
            ),
            "problem": np.array(["" if good else answer.reason for answer, good in zip(answers, is_read)], object),
        }
        features = [answer.features if good else None for answer, good in zip(answers, is_read)]
        known = next((vector for vector in features if vector is not None), None)
        if known is not None:
            columns["features"] = np.stack([np.zeros_like(known) if vector is None else vector for vector in features])
        return columns
