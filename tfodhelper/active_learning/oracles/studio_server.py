"""Talks to a Label Studio server by its HTTP interface, with nothing but the standard library.

A token is either a legacy token, which is sent as it is, or a personal access token (a JWT), which is exchanged for
access tokens that last a few minutes. It is sent to the given server only: a redirect to another one is refused.
Certificates are verified. What a server sends is not trusted: neither its length nor its form.
"""

import http.client
import ipaddress
import json
import os
import re
import secrets
import time
import urllib.error
import urllib.parse
import urllib.request

from tfodhelper import console, errors, limits, plain_text, user_files

TOKEN_VARIABLE = "LABEL_STUDIO_API_KEY"
_TIMEOUT_S = 60
_TRIES = 5
_MOST_BYTES = 512 << 20
_MOST_TOKEN_BYTES = 16 << 10
_TOKEN = re.compile(r"[!-~]+")
_NEEDS_TOKEN = f"put the token from Account & Settings into ${TOKEN_VARIABLE} or into a file for --studio_token_file"


class BrokenError(Exception):
    """The connection broke, or the server is busy or failing: what was asked may or may not have been done."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects within one server only, since they would take the token with them."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        """The request to the new address; called by `urllib`."""
        if _origin_of(newurl) != _origin_of(req.full_url):
            shown = plain_text.shorten(plain_text.one_line(newurl), 200)
            raise errors.ServerError(
                f"{_origin_of(req.full_url)}: redirects to another server, to which the token is not sent",
                received=shown,
                fix="give the final address with --studio_url",
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _origin_of(address):
    parts = urllib.parse.urlsplit(address)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{parts.hostname}:{port}"


class StudioServer:
    """A server, and who we are there.

    Args:
      address: such as https://studio.example.org, with the path of the installation if it has one.
      token: legacy token or personal access token.
      pause_s: seconds before a request is tried again; doubled each time.

    Raises:
      UsageError: not an address of a web server, or not a token.
    """

    def __init__(self, address, token, pause_s=1.0):
        self.address, self._pause_s, self._access = _check_address(address), pause_s, None
        if not _TOKEN.fullmatch(token or ""):
            raise errors.UsageError("the token of Label Studio is not one", expected="one line", fix=_NEEDS_TOKEN)
        self._token, self._is_personal = token, token.count(".") == 2
        self._opener = urllib.request.build_opener(_Redirects)

    @property
    def base_path(self):
        """The path of the installation on its server, usually ""."""
        return urllib.parse.urlsplit(self.address).path

    def get(self, path, **query):
        """The JSON at a path; tried again while the server does not answer.

        Raises:
          ServerError: it does not answer, refuses, or sends something else.
        """
        return self._insist("GET", path, query)

    def delete(self, path):
        """Deletes what is at a path; it may be gone already."""
        self._insist("DELETE", path, {}, allowed=(404,))

    def patch(self, path, value):
        """Changes fields of what is at a path."""
        return self._insist("PATCH", path, {}, json.dumps(value).encode(), "application/json")

    def post(self, path, value, **query):
        """Posts JSON once; returns JSON.

        Raises:
          BrokenError: it may or may not have arrived.
          ServerError: it was refused.
        """
        return self._send("POST", path, query, json.dumps(value).encode(), "application/json")

    def post_files(self, path, files, **query):
        """Posts files once; returns JSON.

        Args:
          path: of the request.
          files: list of (file name in ASCII without quotes, bytes).
          **query: of the address.

        Raises:
          BrokenError, ServerError: see `post`.
        """
        boundary = secrets.token_hex(16)
        parts = []
        for number, (name, data) in enumerate(files):
            head = f'--{boundary}\r\nContent-Disposition: form-data; name="file{number}"; filename="{name}"\r\n'
            parts += [f"{head}Content-Type: application/octet-stream\r\n\r\n".encode("ascii"), data, b"\r\n"]
        parts.append(f"--{boundary}--\r\n".encode("ascii"))
        return self._send("POST", path, query, b"".join(parts), f"multipart/form-data; boundary={boundary}")

    def pause(self, attempt):
        """Waits before the next attempt; the first one has the number 0 and is not waited for."""
        if attempt:
            time.sleep(self._pause_s * 2 ** (attempt - 1))

    def _insist(self, method, path, query, data=None, kind=None, allowed=()):
        for attempt in range(_TRIES):
            self.pause(attempt)
            try:
                return self._send(method, path, query, data, kind, allowed)
            except BrokenError as broken:
                reason = str(broken)
        raise errors.ServerError(
            f"{self.address}: Label Studio does not answer",
            received=f"{reason}, {_TRIES} times",
            fix="start it, or correct --studio_url; then type the same command again",
        )

    def _send(self, method, path, query, data=None, kind=None, allowed=(), may_renew=True):
        request = urllib.request.Request(self._make_address(path, query), data, method=method)
        request.add_header("User-Agent", "tfodhelper")
        request.add_header("Accept", "application/json")
        request.add_header("Authorization", self._authorize())
        if kind:
            request.add_header("Content-Type", kind)
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as response:
                return self._parse(response.read(_MOST_BYTES + 1), path)
        except urllib.error.HTTPError as error:
            with error:
                text = _words_of(error)
            if error.code in allowed:
                return None
            if error.code == 401 and self._is_personal and may_renew:  # the access token has expired
                self._access = None
                return self._send(method, path, query, data, kind, allowed, may_renew=False)
            raise self._explain(error.code, text, path) from None
        except (OSError, http.client.HTTPException) as error:
            raise self._broken(error) from None

    def _make_address(self, path, query):
        text = urllib.parse.urlencode(query, doseq=True)
        return f"{self.address}{path}" + (f"?{text}" if text else "")

    def _authorize(self):
        if not self._is_personal:
            return f"Token {self._token}"
        if self._access is None:
            self._access = self._renew()
        return f"Bearer {self._access}"

    def _renew(self):
        """Exchanges the personal access token for an access token."""
        data = json.dumps({"refresh": self._token}).encode()
        headers = {"Content-Type": "application/json", "User-Agent": "tfodhelper"}
        address = self._make_address("/api/token/refresh/", {})
        try:
            request = urllib.request.Request(address, data, headers, method="POST")
            with self._opener.open(request, timeout=_TIMEOUT_S) as response:
                value = self._parse(response.read(_MOST_BYTES + 1), "/api/token/refresh/")
        except urllib.error.HTTPError as error:
            with error:
                text = _words_of(error)
            raise self._explain(error.code, text, "/api/token/refresh/") from None
        except (OSError, http.client.HTTPException) as error:
            raise self._broken(error) from None
        access = value.get("access") if isinstance(value, dict) else None
        if not isinstance(access, str) or not _TOKEN.fullmatch(access):
            raise errors.ServerError(f"{self.address}: does not give an access token for the personal one")
        return access

    def _parse(self, data, path):
        if not data:
            return None
        try:
            if len(data) > _MOST_BYTES:
                raise ValueError(f"it is longer than {_MOST_BYTES >> 20} MiB")
            return limits.parse_json(data)
        except ValueError as error:
            raise errors.ServerError(
                f"{self.address}{path}: does not answer as Label Studio does: {error}",
                expected="JSON",
                fix="give the address at which Label Studio opens in a browser with --studio_url",
            ) from None

    def _broken(self, error):
        reason = getattr(error, "reason", error)
        if "CERTIFICATE_VERIFY_FAILED" in str(reason):
            return errors.ServerError(
                f"{self.address}: its certificate cannot be verified",
                received=plain_text.shorten(reason),
                fix="install the certificate of its authority, or name the file in $SSL_CERT_FILE",
            )
        return BrokenError(plain_text.shorten(f"{type(reason).__name__}: {reason}"))

    def _explain(self, code, text, path):
        if code >= 500 or code in (408, 429):
            return BrokenError(f"HTTP {code} {text}")
        if code in (401, 403):
            return errors.UsageError(
                f"{self.address}{path}: Label Studio refuses the token (HTTP {code})", received=text, fix=_NEEDS_TOKEN
            )
        if code == 404:
            fix = "check --studio_url and --studio_project: the number in the address of the project"
            return errors.UsageError(f"{self.address}{path}: does not exist (HTTP 404)", fix=fix)
        return errors.ServerError(f"{self.address}{path}: Label Studio refuses this (HTTP {code})", received=text)


def _words_of(error):
    """What a server says of an error, shortened."""
    try:
        text = error.read(4096).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        text = ""
    return plain_text.shorten(plain_text.one_line(text.strip()), 300)


def _check_address(address):
    try:
        parts = urllib.parse.urlsplit(address)
        is_right = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query and not parts.fragment
        is_right = is_right and parts.username is None and (parts.port is None or parts.port > 0)
    except ValueError:
        is_right = False
    if not is_right:
        raise errors.UsageError(
            f"--studio_url={plain_text.shorten(address, 80)}: not an address of a server",
            expected="such as https://studio.example.org or http://localhost:8080",
        )
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        console.warn(f"{parts.hostname}: the token and the images are sent unencrypted; use https if the server has it")
    return address.rstrip("/")


def _is_loopback(host):
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_token(path=None):
    """The token, from a file or the environment.

    Args:
      path: a file whose only line it is; None for the variable LABEL_STUDIO_API_KEY.

    Raises:
      UsageError: there is none.
    """
    if path is None:
        token = os.environ.get(TOKEN_VARIABLE, "").strip()
        if not token:
            raise errors.UsageError("no token of Label Studio given", fix=_NEEDS_TOKEN)
        return token
    try:
        data, _ = user_files.read_bytes(path, _MOST_TOKEN_BYTES)
    except OSError as error:
        raise errors.UsageError(f"{path}: cannot be read ({error.strerror})", fix=_NEEDS_TOKEN) from error
    return data.decode("utf-8", "replace").strip()
