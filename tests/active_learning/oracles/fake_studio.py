"""The part of Label Studio's HTTP interface that the oracle uses, on loopback, with faults on request.

Its answers have the form of those that Label Studio 1.23 gives.
"""

import contextlib
import email.parser
import email.policy
import http.server
import json
import threading
import urllib.parse

LEGACY = "0123456789abcdef0123456789abcdef01234567"
PERSONAL, ACCESS = "head.body.signature", "access"


class FakeStudio:
    """A server with one project, number 3.

    Attributes:
      config: labelling interface of the project.
      tasks: {id: task}; uploads: {id: (path, bytes)}.
      seen: list of (method, path, query) of all requests.
      fault: function of (method, path, number of the request), called before each request: returns None, "drop" (the
        connection ends before anything is done), "late" (it ends after it was done), a status, or an address to which
        it redirects.
      lifetime: requests for which an access token is valid.
    """

    def __init__(self):
        self.config, self.tasks, self.uploads, self.seen = "<View></View>", {}, {}, []
        self.fault, self.lifetime, self.left = (lambda method, path, number: None), 10**9, 0
        self.patched = []

    def __enter__(self):
        handler = type("Handler", (_Handler,), {"studio": self})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *details):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def use_tls(self, context):
        """Speaks TLS from now on."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.address = self.address.replace("http:", "https:")

    def find(self, stem):
        """The one task whose image has this stem."""
        (task,) = [task for task in self.tasks.values() if f"/{stem}.jpg" in task["data"]["tfodhelper"]]
        return task

    def submit(self, stem, change=lambda result: result, **more):
        """Submits an annotation made from the prediction, as the editor does."""
        task = self.find(stem)
        result = change(json.loads(json.dumps(task["predictions"][0]["result"])))
        entry = {"id": 1000 + len(task["annotations"]), "completed_by": 1, "result": result, "was_cancelled": False}
        task["annotations"].append(entry | {"ground_truth": False, "lead_time": 2.5} | more)

    def answer(self, method, path, query, data, kind):
        """(status, value) for a request whose token is right."""
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "projects"] and parts[2] != "3":
            return 404, {"detail": "Not found."}
        if parts == ["api", "projects", "3"]:
            if method == "PATCH":
                self.config = json.loads(data)["label_config"]
                self.patched.append(self.config)
            return 200, {"id": 3, "title": "t", "label_config": self.config}
        if path == "/api/tasks/":
            return 200, self._list(int(query["page"][0]), int(query["page_size"][0]), query.get("include", [None])[0])
        if parts[:2] == ["api", "tasks"] and method == "DELETE":
            return (204, None) if self.tasks.pop(int(parts[2]), None) else (404, {})
        if parts[3:] == ["file-uploads"]:
            ids = json.loads(query["ids"][0]) if "ids" in query else list(self.uploads)
            return 200, [{"id": id_, "file": self.uploads[id_][0], "size": len(self.uploads[id_][1])} for id_ in ids]
        if parts[3:] == ["import"]:
            return 201, self._upload(data, kind) if kind.startswith("multipart/") else self._import(json.loads(data))
        if parts[3:] == ["export"]:
            return 200, [self.tasks[int(id_)] for id_ in query["ids[]"] if int(id_) in self.tasks]
        return 404, {"detail": "Not found."}

    def _list(self, page, size, include):
        """Tasks without annotations; only the fields in `include` (names with commas between), if it is not None."""
        listed = [
            {key: value for key, value in task.items() if key not in ("annotations", "predictions")}
            | {
                "total_annotations": sum(not each.get("was_cancelled") for each in task["annotations"]),
                "cancelled_annotations": sum(bool(each.get("was_cancelled")) for each in task["annotations"]),
            }
            for task in sorted(self.tasks.values(), key=lambda task: task["id"])
        ]
        if include is not None:
            listed = [{key: task[key] for key in include.split(",") if key in task} for task in listed]
        return {"total": len(listed), "tasks": listed[(page - 1) * size : page * size]}

    def _upload(self, data, kind):
        head = f"Content-Type: {kind}\r\n\r\n".encode()
        message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + data)
        ids = []
        for part in message.iter_parts():
            ids.append(len(self.uploads) + 1)
            path = f"upload/3/{ids[-1]:08x}-{part.get_filename()}"
            self.uploads[ids[-1]] = (path, part.get_payload(decode=True))
        return {"task_count": len(ids), "file_upload_ids": ids, "could_be_tasks_list": False}

    def _import(self, tasks):
        for task in tasks:
            id_ = max(self.tasks, default=0) + 1
            self.tasks[id_] = {"id": id_, "annotations": [], "predictions": [], "project": 3} | task
        return {"task_count": len(tasks), "annotation_count": 0, "prediction_count": len(tasks)}


class _Handler(http.server.BaseHTTPRequestHandler):
    studio: FakeStudio

    def log_message(self, *values):
        pass

    def _serve(self):
        studio, (path, _, query) = self.studio, self.path.partition("?")
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        studio.seen.append((self.command, path, query))
        fault = studio.fault(self.command, path, len(studio.seen))
        if fault == "drop":
            return self._hang_up()
        if isinstance(fault, int):
            return self._reply(fault, {"detail": "as requested"})
        if isinstance(fault, str) and fault != "late":
            return self._reply(302, None, fault)
        if path == "/api/token/refresh/":
            studio.left = studio.lifetime
            is_right = json.loads(data)["refresh"] == PERSONAL
            return self._reply(*((200, {"access": ACCESS}) if is_right else (401, {"detail": "Token is invalid"})))
        given = self.headers.get("Authorization")
        if given == f"Bearer {ACCESS}":
            studio.left -= 1
        if given != f"Token {LEGACY}" and (given != f"Bearer {ACCESS}" or studio.left < 0):
            return self._reply(401, {"detail": "Invalid token."})
        reply = studio.answer(
            self.command, path, urllib.parse.parse_qs(query), data, self.headers.get("Content-Type") or ""
        )
        return self._hang_up() if fault == "late" else self._reply(*reply)

    do_GET = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815 the names that `http.server` looks for

    def _hang_up(self):
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(2)

    def _reply(self, status, value, location=None):
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)
