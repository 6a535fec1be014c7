"""A session over a folder of images, and requests to its page without a server."""

import json

from werkzeug.test import Client

from tests.active_learning.questions import draw_image
from tfodhelper.annotations import labelimg
from tfodhelper.annotations.structures import Annotation, Box
from tfodhelper.labelling.documents import Item, is_verified
from tfodhelper.labelling.server import Page
from tfodhelper.labelling.session import Session

PORT = 4321
HOST = f"127.0.0.1:{PORT}"
CAT, DOG = Box("cat", 5, 20, 60, 80), Box("dog", 100, 10, 160, 90)


def make_items(folder, boxes_of, suggestions=None, **image):
    """Draws images, with XML where boxes are given: {stem: boxes, or None for no file}."""
    items = []
    for stem, boxes in boxes_of.items():
        path = draw_image(folder / f"{stem}.jpg", **image)
        if boxes is not None:
            labelimg.write_labelimg(folder / f"{stem}.xml", Annotation(path.name, 200, 100, tuple(boxes)), path)
        some = tuple((suggestions or {}).get(stem, ()))
        items.append(Item(path.name, str(path), str(folder / f"{stem}.xml"), some))
    return items


def make_session(items, classes=("cat", "dog"), doubts=None, **more):
    verified = [is_verified(item.xml) for item in items]
    return Session(items, classes, verified, doubts or [0.0] * len(items), **more)


class Browser:
    """What a page sends."""

    def __init__(self, session):
        self.is_ended = False
        self.page = Page(session, "a folder", self._end)
        self.page.port = PORT
        self._client = Client(self.page)

    def _end(self):
        self.is_ended = True

    def request(self, path, body=None, token=None, host=HOST, method=None, **headers):
        """The response; a body makes it a POST."""
        given = {"Host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
        path = f"/{self.page.token if token is None else token}/{path}"
        if body is None:
            return self._client.open(path, method=method or "GET", headers=given)
        given.setdefault("Content-Type", "application/json")
        data = body if isinstance(body, (bytes, str)) else json.dumps(body)
        return self._client.open(path, method=method or "POST", headers=given, data=data)

    def get(self, path):
        response = self.request(path)
        assert response.status_code == 200, response.get_data()
        return json.loads(response.get_data())

    def post(self, path, body):
        response = self.request(path, body)
        assert response.status_code == 200, response.get_data()
        return json.loads(response.get_data())

    def save(self, doc, boxes=..., verified=False, seconds=0.0, version=None):
        """Saves a document that was opened with `get`; by default with its boxes. Returns the response."""
        boxes = doc["boxes"] if boxes is ... else boxes
        edit = {"version": version or doc["version"], "base": doc["base"], "verified": verified, "seconds": seconds}
        return self.request(f"images/{doc['index']}", edit | {"boxes": boxes})


def new_box(name, *corners, **more):
    return {"source": None, "class": name, "difficult": False, "confirmed": True, "corners": list(corners)} | more


def ignored(box):
    """The box that a person is not sure of."""
    return box | {"ignored": True, "confirmed": True}
