"""A local web server with configurable behaviour and errors."""

import base64
import contextlib
import hashlib
import http.server
import re
import threading


class Behaviour:
    """How the server answers GET requests.

    Attributes:
      files: {path: bytes}.
      ranges: whether range requests are supported.
      break_after, breaks: the connection is cut after this many bytes of a body, for this many of the next answers.
      status: {path: status} of errors.
      md5: {path: bytes whose MD5 is announced}; True for those of the file itself.
      etag: validator of all files.
      headers: {path: {name: value}} in place of the usual headers; None leaves one out.
      redirects: {path: address}.
      reason: {path: reason phrase} of errors.
      endless: paths whose body is followed by zeros until the client closes the connection.
      requests: (path, Range header) of each request, in order.
    """

    def __init__(self, files):
        self.files, self.ranges, self.break_after, self.breaks = dict(files), True, None, 0
        self.status, self.md5, self.etag, self.requests = {}, {}, '"one"', []
        self.headers, self.redirects, self.reason, self.endless = {}, {}, {}, set()


@contextlib.contextmanager
def serve(files):
    """Yields (address, `Behaviour`) of a local server."""
    behaviour = Behaviour(files)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):  # noqa: N802 - the name that http.server calls
            _answer(self, behaviour)

        def log_message(self, *args):
            """Prints nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", behaviour
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(handler, behaviour):
    path, asked = handler.path, handler.headers.get("Range")
    behaviour.requests.append((path, asked))
    if path in behaviour.redirects:
        handler.send_response(302)
        handler.send_header("Location", behaviour.redirects[path])
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return
    body = behaviour.files.get(path)
    status = behaviour.status.get(path, 200 if body is not None else 404)
    if status != 200:
        handler.send_error(status, behaviour.reason.get(path))
        return
    start = 0
    match = re.fullmatch(r"bytes=(\d+)-", asked or "")
    if match and behaviour.ranges and handler.headers.get("If-Range") == behaviour.etag:
        start = int(match[1])
        if start >= len(body):
            handler.send_error(416)
            return
    handler.send_response(206 if start else 200)
    headers = {"Content-Length": str(len(body) - start), "ETag": behaviour.etag}
    headers |= {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} if start else {}
    for name, value in (headers | behaviour.headers.get(path, {})).items():
        if value is not None:
            handler.send_header(name, value)
    if path in behaviour.md5:
        content = body if behaviour.md5[path] is True else behaviour.md5[path]
        digest = base64.b64encode(hashlib.md5(content).digest()).decode()
        handler.send_header("x-goog-hash", "crc32c=AAAAAA==")
        handler.send_header("x-goog-hash", f"md5={digest}")
    handler.end_headers()
    if behaviour.breaks > 0:
        behaviour.breaks -= 1
        handler.wfile.write(body[start : start + behaviour.break_after])
        handler.wfile.flush()
        handler.close_connection = True
        handler.connection.close()
        return
    handler.wfile.write(body[start:])
    if path in behaviour.endless or path in behaviour.headers:
        handler.close_connection = True
    with contextlib.suppress(OSError):
        while path in behaviour.endless:
            handler.wfile.write(bytes(1 << 16))
