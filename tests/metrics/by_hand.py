"""Boxes and detections from which figures are computed by hand."""

A, B, C = [0, 0, 10, 10], [20, 20, 30, 30], [40, 40, 50, 50]
FAR = [80, 80, 90, 90]
NOTHING = {"boxes": [], "classes": [], "scores": []}


def found_of(*rows, classes=None):
    """Detections from (box, score), of class 1 if none is given."""
    return {"boxes": [r[0] for r in rows], "scores": [r[1] for r in rows], "classes": classes or [1] * len(rows)}
