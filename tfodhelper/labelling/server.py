"""Serves the page on this machine alone, to whoever knows its address.

The address has a random token in it. Without the token, from another machine, under another host name (DNS rebinding)
or from the page of another site, nothing is answered. No request names a file: images are known by their index, so that
there is no path that could lead out of the folder.
"""

import contextlib
import functools
import hmac
import importlib.resources
import json
import secrets
import signal
import socket
import threading

from werkzeug import exceptions, routing, serving
from werkzeug.wrappers import Request, Response

from tfodhelper import console, errors, limits, plain_text, terminal
from tfodhelper.annotations.structures import UnusableFile
from tfodhelper.labelling import documents, pictures
from tfodhelper.render import html

HOST = "127.0.0.1"
_NAMES = (HOST, "localhost")
_TOKEN_BYTES = 24
_MOST_BYTES = 8 << 20  # of a request
_ASSETS = {
    "main.js": "text/javascript",
    "boxes.js": "text/javascript",
    "client.js": "text/javascript",
    "view.js": "text/javascript",
    "panels.js": "text/javascript",
    "label.css": "text/css",
}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


_KEYS = (
    ("Space", "accept the image with all its boxes, and go to the next doubtful one"),
    ("Enter", "confirm the selected box, and select the next doubtful one"),
    ("X, Delete", "delete the selected box: there is nothing, which is learned as background"),
    ("I", "not sure: make the selected box an ignored region, of which nothing is learned, or an object again"),
    ("Tab, Shift+Tab", "select the next or the previous box; Esc selects none"),
    ("W", "draw a box in the middle; with the mouse: drag where there is no box, or with Ctrl anywhere"),
    ("arrows", "move the selected box by a pixel, with Shift by ten; without a box: move the image"),
    ("Ctrl+arrows", "move the lower right corner of the selected box, with Shift by ten"),
    ("1 to 9, C", "change the class of the selected box: by its number, or by typing its name"),
    ("F", "mark the selected box as difficult, or not"),
    ("U or Ctrl+Z, Y or Ctrl+Shift+Z", "undo, redo; also what was done in earlier images"),
    ("N, P", "leave the image for later, and go to the next doubtful one; go back"),
    ("[ ] or Page Up, Page Down", "the images before and after this one, in the order of their names"),
    ("+ - 0 Z", "zoom in, out, to the whole image, to the selected box; the wheel zooms, Shift+drag moves"),
    ("R", "load the file again, when another program has changed it"),
    ("Q", "finish"),
)


class Page:
    """The page of a session, as a WSGI application.

    Args:
      session: a `session.Session`.
      title: what is labelled, in a few words.
      end: called when the person says that the work is finished.

    Attributes:
      token: without it, nothing is answered.
      port: of the server; set before the first request.
    """

    def __init__(self, session, title, end):
        self.token, self.port = secrets.token_urlsafe(_TOKEN_BYTES), None
        self._session, self._title, self._end, self._pictures = session, title, end, pictures.Pictures()
        get = functools.partial(routing.Rule, methods=["GET"])
        post = functools.partial(routing.Rule, methods=["POST"])
        self._routes = routing.Map(
            [
                get("/", endpoint=self._show_page),
                get("/assets/<name>", endpoint=self._show_asset),
                get("/session", endpoint=self._describe),
                post("/next", endpoint=self._find_next),
                get("/images/<int:index>", endpoint=self._open),
                post("/images/<int:index>", endpoint=self._save),
                post("/images/<int:index>/time", endpoint=self._spend),
                get("/images/<int:index>/picture", endpoint=self._show_picture),
                get("/images/<int:index>/part", endpoint=self._show_part),
                post("/end", endpoint=self._finish),
            ],
            strict_slashes=False,
        )

    @property
    def address(self):
        """Where a browser finds the page."""
        return f"http://{HOST}:{self.port}/{self.token}/"

    def __call__(self, environ, start_response):
        request = Request(environ)
        request.max_content_length = _MOST_BYTES
        try:
            response = self._answer(request)
        except exceptions.HTTPException as error:
            response = _to_response({"error": error.description}, error.code)
        except documents.Conflict as error:
            response = _to_response({"error": str(error), "conflict": True}, 409)
        except (UnusableFile, errors.AnnotationError) as error:
            response = _to_response({"error": str(error)}, 422)
        except errors.TfodhelperError as error:
            response = _to_response({"error": str(error)}, 507)
        response.headers.extend(_HEADERS)
        return response(environ, start_response)

    def _answer(self, request):
        self._check_source(request)
        token, _, rest = request.path.removeprefix("/").partition("/")
        if not hmac.compare_digest(token.encode("utf-8", "replace"), self.token.encode()):
            raise exceptions.Forbidden("the address lacks the token that was printed when the page was started")
        endpoint, arguments = self._routes.bind(HOST).match(f"/{rest}", request.method)
        try:
            return endpoint(request, **arguments)
        except IndexError:
            raise exceptions.NotFound("no such image") from None

    def _check_source(self, request):
        """Raises Forbidden for requests that do not come from this page."""
        hosts = {f"{name}:{self.port}" for name in _NAMES}
        if request.headers.get("Host") not in hosts:
            raise exceptions.Forbidden("this page has another host name")
        origin = request.headers.get("Origin")
        if origin is not None and origin != f"http://{request.headers['Host']}":
            raise exceptions.Forbidden("requests from other sites are refused")
        is_visit = request.method == "GET" and request.headers.get("Sec-Fetch-Mode") == "navigate"
        if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin") and not is_visit:
            raise exceptions.Forbidden("requests from other sites are refused")

    def _show_page(self, request):
        return Response(html.make_page("label.html", title=self._title, keys=_KEYS), mimetype="text/html")

    def _show_asset(self, request, name):
        if name == "style.css":
            return Response(html.style_sheet(), mimetype="text/css")
        if name not in _ASSETS:
            raise exceptions.NotFound("no such file")
        return Response(_read_asset(name), mimetype=_ASSETS[name])

    def _describe(self, request):
        return _to_response(self._session.describe())

    def _find_next(self, request):
        leaving = _read_json(request).get("leaving")
        if leaving is not None and not isinstance(leaving, int):
            raise exceptions.BadRequest("expected the index of an image")
        index, following = self._session.next_indices(leaving)
        return _to_response({"index": index, "following": following, **self._session.describe()})

    def _open(self, request, index):
        return _to_response(self._session.open(index) | {"session": self._session.describe()})

    def _save(self, request, index):
        return _to_response(self._session.save(index, _read_json(request)))

    def _spend(self, request, index):
        seconds = _read_json(request).get("seconds")
        if not isinstance(seconds, (int, float)) or isinstance(seconds, bool) or not seconds >= 0:
            raise exceptions.BadRequest("expected seconds")
        self._session.spend(index, seconds)
        return _to_response({})

    def _show_picture(self, request, index):
        return Response(self._pictures.picture(self._session.item(index).image), mimetype="image/jpeg")

    def _show_part(self, request, index):
        try:
            area = [int(request.args[side]) for side in ("left", "top", "right", "bottom")]
            scale = float(request.args["scale"])
        except (KeyError, ValueError):
            raise exceptions.BadRequest("expected left, top, right, bottom and scale") from None
        if not 0 < scale <= 1 or max(map(abs, area)) > 1 << 24:
            raise exceptions.BadRequest("expected a scale of more than 0 and at most 1")
        return Response(self._pictures.part(self._session.item(index).image, area, scale), mimetype="image/jpeg")

    def _finish(self, request):
        _read_json(request)
        self._end()
        return _to_response({})


def _to_response(value, status=200):
    return Response(json.dumps(value, ensure_ascii=False, allow_nan=False), status, mimetype="application/json")


def _read_json(request):
    """The object in the body of a request. A page of another site could not send this type without asking first."""
    if request.mimetype != "application/json":
        raise exceptions.UnsupportedMediaType("expected application/json")
    try:
        value = limits.parse_json(request.get_data(as_text=False))
    except ValueError as error:
        raise exceptions.BadRequest(f"expected JSON: {error}") from None
    if not isinstance(value, dict):
        raise exceptions.BadRequest("expected a JSON object")
    return value


@functools.cache
def _read_asset(name):
    return (importlib.resources.files("tfodhelper.labelling.assets") / name).read_bytes()


class _QuietHandler(serving.WSGIRequestHandler):
    """Prints no line per request, which would have the token in it; only faults of this program."""

    def log(self, type, message, *args):
        if type == "error":
            console.warn(plain_text.visible(message % args if args else message))


def serve(session, title, port=0, on_ready=None):
    """Shows the page until the person ends it there, or with Ctrl-C.

    Args:
      session: a `session.Session`, which is closed at the end.
      title: what is labelled.
      port: of this machine; 0 takes a free one.
      on_ready: called with a function that ends the page, once there is a page; what it returns is called at the end.

    Raises:
      UsageError: the port cannot be used.
    """
    ended = threading.Event()
    page = Page(session, title, ended.set)
    with _bound(port) as bound:
        page.port = bound.getsockname()[1]
        server = serving.make_server(HOST, page.port, page, True, 1, _QuietHandler, fd=bound.fileno())
        thread = threading.Thread(target=server.serve_forever, daemon=True, name="page")
        thread.start()
        # Not into a process log, which others may read.
        terminal.write(f"Open this address in a browser on this machine: {page.address}\n")
        console.say("Ctrl-C ends the page; everything that it shows as saved is on disk")
        stop = on_ready(ended.set) if on_ready is not None else None
        try:
            with _ended_by_ctrl_c(ended):
                while not ended.wait(0.5):  # a wait without end would keep signals waiting on some systems
                    pass
        finally:
            session.close()
            server.shutdown()
            server.server_close()
            if stop is not None:
                stop()


@contextlib.contextmanager
def _bound(port):
    """A socket of this machine that listens on a port."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((HOST, port))
        except OSError as error:
            raise errors.UsageError(
                f"--port={port}: cannot be used ({error.strerror})", fix="choose another one, or leave out --port"
            ) from error
        bound.listen(64)
        yield bound
    finally:
        bound.close()


@contextlib.contextmanager
def _ended_by_ctrl_c(ended):
    """Lets the first Ctrl-C end the page, and the second one the program."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_):
        ended.set()
        signal.signal(signal.SIGINT, former)

    former = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)
