"""A person at the page of `tfodhelper label`, as requests, for kill_verbs.py.

Every image is worked on in steps, each of which is saved: a box is drawn, moved, renamed, one becomes an ignored region
and is moved, and at last the image is accepted. What is done to an image depends on the image alone and not on what
exists already, so a page that was killed at any moment and started again ends with the same files.
"""

import json
import random
import re
import subprocess
import threading
import urllib.error
import urllib.request

from tfodhelper.annotations import labelimg

_TIMEOUT_S = 60
_HAS_ENDED = 507  # a page that is being ended writes nothing any more
_ENDED = "Ctrl-C"  # in the line after the address


class Page:
    """A process of `label`, and its page.

    Args:
      argv: the whole command.
      **more: of `subprocess.Popen`.

    Attributes:
      process: the process.
      said: what it has printed.
    """

    def __init__(self, argv, **more):
        more |= {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        self.process, self.said = subprocess.Popen([argv[0], "-u", *argv[1:]], **more), ""
        self._address, self._is_ready = None, threading.Event()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self):
        for line in self.process.stdout:
            self.said += line
            if _ENDED in line and not self._is_ready.is_set():
                self._address = re.search(r"http://\S+", self.said)[0]
                self._is_ready.set()
        self._is_ready.set()

    def wait(self):
        """The exit status, once the process has ended and all that it printed has been read."""
        status = self.process.wait()
        self._listener.join()
        self.process.stdout.close()
        return status

    def call(self, path, value=None):
        """The answer to a request; a value makes it a POST. Raises OSError if there is no page any more."""
        self._is_ready.wait()
        if self._address is None:
            raise ConnectionError("the page has ended")
        data = None if value is None else json.dumps(value).encode()
        request = urllib.request.Request(self._address + path, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
                return json.loads(response.read())
        except urllib.error.HTTPError as error:
            with error:
                text = error.read().decode("utf-8", "replace")
            if error.code == _HAS_ENDED:
                raise ConnectionError(text) from None
            self.process.kill()
            raise RuntimeError(f"{path}: {error.code} {text}") from None


def review(page, originals):
    """Accepts all images that are not accepted yet, and ends the page.

    Args:
      page: a `Page`.
      originals: folder with the annotation files as they were before the first start.

    Raises:
      OSError, http.client.HTTPException: the process ended.
    """
    for index in range(page.call("session")["counts"]["total"]):
        doc = page.call(f"images/{index}")
        if not doc["verified"]:
            _review_image(page, doc, originals)
    page.call("end", {})


def _review_image(page, doc, originals):
    sources = [box["source"] for box in doc["boxes"]]  # the boxes of all steps have the same order
    edit = {"version": doc["version"], "base": doc["base"], "seconds": 0.5}
    for number, boxes in enumerate(steps := list(_make_steps(doc, originals)), start=1):
        boxes = [
            box | {"source": sources[i] if doc["exists"] and i < len(sources) else None} for i, box in enumerate(boxes)
        ]
        answer = page.call(f"images/{doc['index']}", edit | {"boxes": boxes, "verified": number == len(steps)})
        edit["version"] = answer["version"]


def _make_steps(doc, originals):
    """The boxes of an image after each step, as the page sends them, without their sources."""
    path = (originals / doc["name"]).with_suffix(".xml")
    drawn = labelimg.read_labelimg(path).boxes if path.is_file() else ()
    boxes = [_to_json(box.name, box.xmin, box.ymin, box.xmax, box.ymax) for box in drawn]
    rng = random.Random(doc["name"])
    x, y = rng.randrange(1, doc["width"] // 2), rng.randrange(1, doc["height"] // 2)
    boxes = [*boxes, _to_json("drawn", x, y, x + 9, y + 9)]
    last = len(boxes) - 1
    for number, change in (
        (last, {}),
        (last, {"corners": [x + 3, y + 2, x + 12, y + 11]}),
        (last, {"class": "renamed", "difficult": True}),
        (last, {"ignored": True}),
        (last, {"corners": [x + 4, y + 2, x + 13, y + 11]}),
        (last, {"corners": [x + 14, y + 2, x + 23, y + 11]}),
        (0, {"ignored": True}),
        (last, {"ignored": bool(rng.randrange(2))}),
        (0, {"confirmed": True}),
    ):
        boxes = [*boxes[:number], boxes[number] | change | {"confirmed": True}, *boxes[number + 1 :]]
        yield boxes


def _to_json(name, *corners):
    return {"class": name, "difficult": False, "confirmed": False, "ignored": False, "corners": list(corners)}
