"""HTTP: the API on one port, and on another one the control of it (see Control).

A request becomes a dictionary (verb, path, agent, user, ...), which the log keeps and the fault rules match; then the store does it.
"""

import base64
import json
import re
import socket
import ssl
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from kube import events, patch, protobuf, table
from kube.faults import MATCHERS
from kube.matching import field_selector, label_selector
from kube.store import ApiError, expired

PATH = re.compile(r"/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+)/(?P<version>[^/]+))"
                  r"(?:/namespaces/(?P<namespace>[^/]+))?/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[a-z]+))?")
NAMESPACE = re.compile(r"/api/v1/namespaces(?:/(?P<name>[^/]+)(?:/(?P<sub>status|finalize))?)?")
PAGES = 200             # lists whose next pages are kept
LARGEST_WATCH = 1e9     # seconds
INITIAL_END = {"k8s.io/initial-events-end": "true"}


class Hangup(Exception):
    """The connection ends without (the rest of) an answer."""


class Listener(ThreadingHTTPServer):
    """Knows its connections, so that it can cut them all."""
    daemon_threads = True
    request_queue_size = 512
    block_on_close = False

    def __init__(self, address, handler, api, tls=None):
        self.api, self.tls = api, tls
        self.sockets, self.lock = set(), threading.Lock()
        super().__init__(address, handler)

    def finish_request(self, request, client_address):
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls:
            request.settimeout(10)
            try:
                request = self.tls.wrap_socket(request, server_side=True)
            except (OSError, ssl.SSLError):
                return
            request.settimeout(None)
        with self.lock:
            self.sockets.add(request)
        try:
            self.RequestHandlerClass(request, client_address, self)
        except OSError:
            pass
        finally:
            with self.lock:
                self.sockets.discard(request)
            _shut(request)

    def cut(self):
        with self.lock:
            for each in self.sockets:
                _shut(each)


def _shut(connection):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *arguments):
        pass

    def __getattr__(self, name):
        if name.startswith("do_"):
            return lambda: self.serve(name[3:])
        raise AttributeError(name)

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(self, code, document, extra=()):
        self.answer_bytes(code, document if isinstance(document, bytes) else json.dumps(document, separators=(",", ":")).encode(), extra=extra)

    def answer_bytes(self, code, body, content_type="application/json", extra=(), cut=None):
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in extra:
            self.send_header(name, value)
        head = b"".join(self._headers_buffer) + b"\r\n"
        self._headers_buffer = []
        self.wfile.write(head + (body if cut is None else body[:cut]))


class Api(Handler):
    """One connection of a client."""

    def serve(self, method):
        try:
            self.api, self.row = self.server.api, None
            self._serve(method, self.body())
        except Hangup:
            self.close_connection = True
        except OSError:
            self.close_connection = True
        finally:
            if self.row is not None:
                self.row["seconds"] = time.time() - self.row["time"]

    def _serve(self, method, body):
        where = urlsplit(self.path)
        self.query = {key: values[-1] for key, values in parse_qs(where.query, keep_blank_values=True).items()}
        self.method, self.rule = method, None
        found = NAMESPACE.fullmatch(where.path) or PATH.fullmatch(where.path)
        parts = found.groupdict() if found else {}
        self.row = self.api.log.begin(verb=self._verb(method, parts), method=method, path=self.path, agent=self.headers.get("User-Agent") or "",
                                      user=self.api.user_of(self.headers.get("Authorization")))
        try:
            self._obey_rule_before()
            self._authenticate()
            if not found:
                self._other(where.path)
                return
            self._find_resource(parts)
            self._authorize()
            getattr(self, f"_{self.row['verb']}")(body)
        except ApiError as error:
            self._say(error.code, error.status(), error)
        except (ValueError, KeyError, TypeError, AttributeError) as error:  # of what the client sent; a bug of ours shows in the trace
            traceback.print_exc()
            self._say(400, ApiError(400, "BadRequest", f"{type(error).__name__}: {error}").status())

    def _verb(self, method, parts):
        if method == "GET":
            if self.query.get("watch") in ("1", "true"):
                return "watch"
            return "get" if parts.get("name") or not parts else "list"
        if method == "DELETE":
            return "delete" if parts.get("name") else "deletecollection"
        return {"POST": "create", "PUT": "update", "PATCH": "patch"}.get(method, method.lower())

    # ---- faults --------------------------------------------------------------------------------------

    def _obey_rule_before(self):
        self.rule = self.api.faults.find(self.row)
        self.words = self.rule.words if self.rule else {}
        if not self.rule:
            return
        self.row["rule"] = self.rule.number
        if "delay" in self.words:
            self.rule.is_gone.wait(self.words["delay"])
        if "freeze" in self.words:
            self.rule.is_gone.wait()
        if self.words.get("close") == "before":
            raise Hangup
        if "status" in self.words and not self.words.get("after"):
            raise self._error_of_rule()
        if "token" in self.words and self.headers.get("Authorization") != f"Bearer {self.words['token']}":
            raise ApiError(401, "Unauthorized", "Unauthorized")
        if "expire" in self.words and self.row["verb"] != "watch":
            raise expired(self.query.get("resourceVersion", "?"), self.api.store.version)

    def _error_of_rule(self):
        code = self.words["status"]
        reason = self.words.get("reason", {403: "Forbidden", 404: "NotFound", 409: "Conflict", 410: "Expired", 429: "TooManyRequests",
                                           500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout"}.get(code, ""))
        return ApiError(code, reason, self.words.get("message", f"a rule says {code}"), retry_after=self.words.get("retry_after"))

    def _say(self, code, document, error=None):
        """The answer, as the rule lets it out."""
        words = self.words if self.rule else {}
        if words.get("close") == "after":
            raise Hangup
        if "status" in words and words.get("after"):
            error = self._error_of_rule()
            code, document = error.code, error.status()
        extra = [("Retry-After", str(error.retry_after))] if error and error.retry_after is not None else []
        body = json.dumps(document, separators=(",", ":")).encode()
        if "garbage" in words:
            code, body = 200, str(words["garbage"]).encode()
        self.row.update(code=code, bytes=len(body))
        if "truncate" in words:
            self.answer_bytes(code, body, cut=words["truncate"])
            raise Hangup
        self.answer_bytes(code, body, extra=extra)

    # ---- who, what -----------------------------------------------------------------------------------

    def _authenticate(self):
        if self.row["user"] is None:
            raise ApiError(401, "Unauthorized", "Unauthorized")

    def _find_resource(self, parts):
        group, version = parts.get("group") or "", parts.get("version") or "v1"
        self.namespace, self.name, self.sub = parts.get("namespace"), parts.get("name"), parts.get("sub")
        self.resource = self.api.store.kinds.find(group, version, parts.get("plural") or "namespaces")
        if self.resource is None or self.sub and self.sub not in (*self.resource.subresources(), "finalize") or \
                self.resource.namespaced and self.namespace is None and self.name:
            raise ApiError(404, "NotFound", "the server could not find the requested resource")

    def _authorize(self):
        user = self.row["user"]
        if not user.startswith("system:serviceaccount:") or not self.api.settings["rbac"]:
            return
        if not self.api.rbac.allows(user, self.row["verb"], self.resource, self.sub, self.namespace, self.name):
            where = f'in the namespace "{self.namespace}"' if self.namespace else "at the cluster scope"
            what = f"{self.resource.plural}/{self.sub}" if self.sub else self.resource.plural
            raise ApiError(403, "Forbidden", f'{self.resource.title} {self.name or ""} is forbidden: User "{user}" cannot {self.row["verb"]} '
                           f'resource "{what}" in API group "{self.resource.group}" {where}')

    def _other(self, path):
        """Everything that is not an object."""
        kinds, found = self.api.store.kinds, None
        if path in ("/livez", "/readyz", "/healthz"):
            self.row.update(code=200)
            self.answer_bytes(200, b"ok", "text/plain")
            return
        if path == "/version":
            found = {"major": "1", "minor": "37", "gitVersion": "v1.37.0-fake", "platform": "linux/amd64"}
        elif path == "/api":
            found = {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
        elif path == "/apis":
            found = kinds.groups()
        elif path == "/openapi/v3":
            found = kinds.openapi_root()
        elif path.startswith("/openapi/v3/"):
            found = kinds.openapi(path[len("/openapi/v3/"):])
        elif re.fullmatch(r"/api/v1|/apis/[^/]+/[^/]+", path):
            group, _, version = path[len("/apis/"):].rpartition("/") if path.startswith("/apis/") else ("", "", "v1")
            found = kinds.resources(group, version)
        if found is None:
            raise ApiError(404, "NotFound", "the server could not find the requested resource")
        self._say(200, found)

    # ---- reading -------------------------------------------------------------------------------------

    def _wants(self, kind):
        return f"as={kind}" in (self.headers.get("Accept") or "")

    def _shown(self, item):
        item = events.shown(self.resource, item)
        if self._wants("PartialObjectMetadata"):
            return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}
        return item

    def _get(self, body):
        item = self.api.store.get(self.resource, self.namespace, self.name)
        if self._wants("Table"):
            self._say(200, table.table(self.resource, [item], {"resourceVersion": item["metadata"]["resourceVersion"]}))
        else:
            self._say(200, self._shown(item))

    def _selector(self):
        try:
            labels = label_selector(self.query.get("labelSelector"))
            fields = field_selector(self.query.get("fieldSelector"), ("metadata.name", "metadata.namespace", *self.resource.fields))
        except ValueError as error:
            raise ApiError(400, "BadRequest", str(error)) from None

        def selects(item):
            return (self.namespace is None or item["metadata"].get("namespace") == self.namespace) and \
                labels(item["metadata"].get("labels") or {}) and fields(events.shown(self.resource, item))
        return selects

    def _list(self, body):
        store, selects = self.api.store, self._selector()
        with store.changed:
            version = store.version
            asked = self.query.get("resourceVersion") or ""
            if asked.isdigit() and int(asked) > version:
                raise ApiError(504, "Timeout", f"Too large resource version: {asked}, current: {version}", {"causes": [
                    {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]}, retry_after=1)
            if self.query.get("resourceVersionMatch") == "Exact":
                version = int(asked)
                if version < store.floor.get(self.resource.key, 0):
                    raise expired(asked, store.floor[self.resource.key])
            if "stale" in self.words:
                version = max(0, version - self.words["stale"])
            if self.query.get("continue"):
                version, items = self.api.next_page(self.query["continue"], self.resource)
            else:
                items = [item for item in store.items(self.resource.key, None, version if version != store.version else None) if selects(item)]
        limit = int(self.query.get("limit") or 0)
        if asked == "0" and not self.query.get("continue") and self.api.settings["cache_is_unpaged"]:
            limit = 0
        metadata = {"resourceVersion": str(version)}
        if "keep" in self.words:
            items = items[:self.words["keep"]]
        elif limit and len(items) > limit:
            metadata["continue"] = self.api.keep_page(self.resource, version, items[limit:])
            if not self.query.get("labelSelector") and not self.query.get("fieldSelector"):
                metadata["remainingItemCount"] = len(items) - limit
            items = items[:limit]
        if self._wants("Table"):
            self._say(200, table.table(self.resource, items, metadata))
        else:
            self._say(200, {"kind": f"{self.resource.kind}List", "apiVersion": self.resource.api_version, "metadata": metadata,
                            "items": [self._shown(item) for item in items]})

    # ---- watching ------------------------------------------------------------------------------------

    def _watch(self, body):
        if self.name:
            self.query["fieldSelector"] = f"metadata.name={self.name}"
        selects, initial = self._selector(), self.query.get("sendInitialEvents") == "true"
        if self.query.get("sendInitialEvents") is not None and not self.api.settings["watch_list"]:
            raise ApiError(422, "Invalid", "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature "
                           "gate is enabled")
        if initial and self.query.get("resourceVersionMatch") != "NotOlderThan":
            raise ApiError(422, "Invalid", "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
        self.row["code"] = 200
        self.sent_head, self.has_columns = False, False
        watch = self.api.watches.begin(self.row)
        try:
            self._stream(watch, selects, initial)
        except ApiError as error:
            self._line("ERROR", error.status())
            self._end_stream()
        finally:
            self.api.watches.end(watch)

    def _stream(self, watch, selects, initial):
        store, asked = self.api.store, self.query.get("resourceVersion") or ""
        deadline = time.monotonic() + min(float(self.query.get("timeoutSeconds") or 1800), LARGEST_WATCH)
        if "expire" in self.words:
            raise expired(asked, store.version)
        with store.changed:
            version = int(asked or 0)
            state = None
            if initial or asked in ("", "0"):
                version, state = store.version, [item for item in store.items(self.resource.key) if selects(item)]
        self._flush(b"")
        if "garbage" in self.words:
            self._flush(str(self.words["garbage"]).encode() + b"\n")
        for item in state or ():
            self._line("ADDED", item)
        if initial and self.query.get("allowWatchBookmarks") == "true":
            self._bookmark(version, INITIAL_END)
        self._follow(watch, selects, version, deadline)
        self._end_stream()

    def _follow(self, watch, selects, version, deadline):
        store, bookmarks = self.api.store, self.query.get("allowWatchBookmarks") == "true"
        next_mark = time.monotonic() + self.api.settings["bookmark_seconds"]
        while True:
            with store.changed:
                while True:
                    found, reached = store.since(self.resource.key, version)
                    left = min(deadline, next_mark if bookmarks else deadline) - time.monotonic()
                    if found or watch.order or left <= 0:
                        break
                    store.changed.wait(left)
            for event in found:
                self._event(event, selects)
            version = max(version, reached)
            if watch.order and not self._obey(watch):
                return
            if bookmarks and time.monotonic() >= min(next_mark, deadline):
                self._bookmark(version)
                next_mark = time.monotonic() + self.api.settings["bookmark_seconds"]
            if time.monotonic() >= deadline:
                return

    def _obey(self, watch):
        """An order from the control; False ends the stream cleanly."""
        order, watch.order = watch.order, None
        if order == "end":
            return False
        if order == "expire":
            raise expired(self.query.get("resourceVersion", ""), self.api.store.version)
        if order == "half":
            self._flush(b'{"type":"MODIFIED","object":{"kind":"')
        if order == "garbage":
            self._flush(b"\x00{nonsense]\n")
            return True
        raise Hangup

    def _event(self, event, selects):
        """As a selector sees it: what begins to match is added, what ceases to is deleted with its last matching state."""
        is_in = event.type != "DELETED" and selects(event.new)
        was_in = event.old is not None and selects(event.old)
        if is_in:
            self._line("MODIFIED" if was_in else "ADDED", event.new)
        elif was_in:
            last = event.new if event.type == "DELETED" else event.old
            self._line("DELETED", {**last, "metadata": {**last["metadata"], "resourceVersion": str(event.version)}})

    def _bookmark(self, version, annotations=None):
        metadata = {"resourceVersion": str(version), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
        item = {"kind": self.resource.kind, "apiVersion": self.resource.api_version, "metadata": metadata}
        self._line("BOOKMARK", item if not self._wants("Table") else table.table(self.resource, [], metadata, False))

    def _line(self, type_, item):
        if type_ in ("ADDED", "MODIFIED", "DELETED"):
            if self._wants("Table"):
                item = table.table(self.resource, [item], {"resourceVersion": item["metadata"]["resourceVersion"]}, not self.has_columns)
                self.has_columns = True
            else:
                item = self._shown(item)
        self._flush(json.dumps({"type": type_, "object": item}, separators=(",", ":")).encode() + b"\n")

    def _flush(self, data):
        if not self.sent_head:
            self.sent_head = True
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
        limit = self.words.get("truncate")
        cut = data if limit is None else data[:max(0, limit - self.row["bytes"])]
        self.row["bytes"] += len(cut)
        if cut:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(cut), cut))
        if len(cut) < len(data):
            raise Hangup

    def _end_stream(self):
        self._flush(b"")
        self.wfile.write(b"0\r\n\r\n")

    # ---- writing -------------------------------------------------------------------------------------

    @property
    def _is_dry(self):
        return "All" in self.query.get("dryRun", "")

    def _document(self, body):
        kind = self.headers.get("Content-Type") or ""
        try:
            return protobuf.read(body) if body and "protobuf" in kind else json.loads(body or b"{}")
        except ValueError as error:
            raise ApiError(400, "BadRequest", f"the body cannot be read: {error}") from None

    def _create(self, body):
        store, item = self.api.store, self._document(body)
        if self.sub == "token":
            self._say(201, self.api.token_request(self.namespace, self.name, item))
        elif self.sub == "binding":
            self.api.players.bind(store.get(self.resource, self.namespace, self.name), item["target"]["name"])
            self._say(201, {"kind": "Status", "apiVersion": "v1", "status": "Success", "code": 201})
        elif self.sub == "eviction":
            store.delete(self.resource, self.namespace, self.name, item.get("deleteOptions"), self._is_dry)
            self._say(201, {"kind": "Status", "apiVersion": "v1", "status": "Success", "code": 201})
        else:
            self._check_kind(item)
            events.check(self.resource, item)
            made = store.create(self.resource, self.namespace or "", events.stored(self.resource, item), self._is_dry)
            self._say(201, self._shown(made))

    def _check_kind(self, item):
        kind, version = item.get("kind", self.resource.kind), item.get("apiVersion", self.resource.api_version)
        if (kind, version) != (self.resource.kind, self.resource.api_version):
            raise ApiError(400, "BadRequest", f"the object is a {kind} of {version}, the path one of {self.resource.api_version}")
        asked = (item.get("metadata") or {}).get("namespace")
        if asked and asked != self.namespace:
            raise ApiError(400, "BadRequest", "the namespace of the provided object does not match the namespace sent on the request")

    def _update(self, body):
        item = events.stored(self.resource, self._document(body))
        if self.sub == "finalize":
            self._say(200, self.api.store.get(self.resource, self.namespace, self.name))
            return
        self._say(200, self._shown(self.api.store.update(self.resource, self.namespace or "", self.name, item, self.sub, self._is_dry)))

    def _patch(self, body):
        kind, document = (self.headers.get("Content-Type") or "").split(";")[0], self._document(body)
        apply = {"application/merge-patch+json": patch.merge, "application/strategic-merge-patch+json": patch.strategic,
                 "application/json-patch+json": patch.json_patch, "application/apply-patch+yaml": patch.strategic}.get(kind)
        if apply is None or kind == "application/strategic-merge-patch+json" and "." in self.resource.group and self.resource.schema is not None:
            raise ApiError(415, "UnsupportedMediaType", f"the body of the request was in an unknown format: {kind}")
        store, old = self.api.store, self.api.store.peek(self.resource.key, self.namespace, self.name)
        if kind == "application/apply-patch+yaml" and old is None and not self.sub:
            self._say(201, self._shown(store.create(self.resource, self.namespace or "", document, self._is_dry)))
            return

        def change(item):
            try:
                new = apply(events.shown(self.resource, item), document)
            except ValueError as error:
                raise ApiError(422, "Invalid", str(error)) from None
            events.check(self.resource, new, events.shown(self.resource, item))
            return events.stored(self.resource, new)
        self._say(200, self._shown(store.modify(self.resource, self.namespace or "", self.name, change, self.sub, self._is_dry)))

    def _delete(self, body):
        options = {**self._document(body), **{key: int(value) if value.isdigit() else value for key, value in self.query.items()
                                              if key in ("gracePeriodSeconds", "propagationPolicy")}}
        uid = self.api.store.get(self.resource, self.namespace, self.name)["metadata"]["uid"]
        left = self.api.store.delete(self.resource, self.namespace, self.name, options, self._is_dry)
        self._say(200, self._shown(left) if left else {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "details": {"name": self.name, "group": self.resource.group, "kind": self.resource.plural, "uid": uid}})

    def _deletecollection(self, body):
        selects, options = self._selector(), self._document(body)
        items = [item for item in self.api.store.items(self.resource.key) if selects(item)]
        for item in items:
            try:
                self.api.store.delete(self.resource, item["metadata"].get("namespace", ""), item["metadata"]["name"], options, self._is_dry)
            except ApiError as error:
                if error.code != 404:
                    raise
        self._say(200, {"kind": f"{self.resource.kind}List", "apiVersion": self.resource.api_version, "metadata": {}, "items": items})


class Watches:
    """Those that are open, so that the control can order what becomes of them."""

    def __init__(self, store):
        self.store, self.open = store, []

    def begin(self, row):
        watch = Watch(row)
        with self.store.changed:
            self.open.append(watch)
        return watch

    def end(self, watch):
        with self.store.changed:
            self.open.remove(watch)

    def order(self, how, path="", agent=""):
        """How many obey: close (in the middle), end (cleanly), expire, half (a line), garbage (a line, and goes on)."""
        if how not in ("close", "end", "expire", "half", "garbage"):
            raise ValueError(f"no such order: {how}")
        with self.store.changed:
            found = [watch for watch in self.open if re.search(path, watch.row["path"]) and re.search(agent, watch.row["agent"])]
            for watch in found:
                watch.order = how
            self.store.changed.notify_all()
            return len(found)


class Watch:
    def __init__(self, row):
        self.row, self.order = row, None


class Control(Handler):
    """What tests tell the server: JSON in, JSON out.

    GET     /log?since=N&verb=&path=&agent=&user=    the requests after number N that match
    GET     /history?resource=pods&since=VERSION     every change of a resource: version, type, object
    POST    /rules {...}         a fault rule (see faults); GET shows them and how often they struck; DELETE /rules[/ID]
    POST    /watches {how, path, agent}    an order to open watches; GET shows them
    POST    /compact {resource}  what happened until now is forgotten: 410 for who asks for it
    PATCH   /settings {...}      of players and server; GET shows them
    POST    /tokens {token, user}          DELETE /tokens/TOKEN: 401 for it from now on
    POST    /down, /up           nobody listens, all connections are cut; and back again, with everything it had
    POST    /freeze, /thaw       connections are taken, and nothing is answered or streamed
    POST    /certificate {pem}   the file of another certificate and key, from the next /up on
    """

    def serve(self, method):
        where = urlsplit(self.path)
        query = {key: values[-1] for key, values in parse_qs(where.query).items()}
        name, _, rest = where.path.strip("/").partition("/")
        try:
            body = json.loads(self.body() or b"{}")
            done = getattr(self, f"_{method.lower()}_{name}")(rest, query, body)
            self.answer(200, {} if done is None else done)
        except (AttributeError, KeyError, ValueError, TypeError) as error:
            self.answer(400, {"error": f"{type(error).__name__}: {error}"})

    @property
    def api(self):
        return self.server.api

    def _get_log(self, rest, query, body):
        return self.api.log.find(int(query.get("since", 0)), **{key: text for key, text in query.items() if key in MATCHERS})

    def _get_history(self, rest, query, body):
        resource = next(r for r in self.api.store.kinds.all.values() if r.plural == query["resource"])
        with self.api.store.changed:
            return [{"version": event.version, "type": event.type, "object": event.new} for event in self.api.store.history.get(resource.key, ())
                    if event.version > int(query.get("since", 0))]

    def _get_rules(self, rest, query, body):
        return self.api.faults.shown()

    def _post_rules(self, rest, query, body):
        return {"id": self.api.faults.add(body)}

    def _delete_rules(self, rest, query, body):
        self.api.faults.remove(int(rest) if rest else None)

    def _get_watches(self, rest, query, body):
        return [watch.row for watch in list(self.api.watches.open)]

    def _post_watches(self, rest, query, body):
        return {"count": self.api.watches.order(**body)}

    def _post_compact(self, rest, query, body):
        name = body.get("resource")
        found = [r for r in self.api.store.kinds.all.values() if name in (None, r.plural)]
        for resource in found:
            self.api.store.compact(resource.key)
        self.api.forget_pages()
        return {"count": len(found)}

    def _get_settings(self, rest, query, body):
        return self.api.settings

    def _patch_settings(self, rest, query, body):
        self.api.set(**body)

    def _post_tokens(self, rest, query, body):
        self.api.tokens[body["token"]] = body["user"]

    def _delete_tokens(self, rest, query, body):
        self.api.tokens.pop(rest)

    def _post_down(self, rest, query, body):
        self.api.down()

    def _post_up(self, rest, query, body):
        self.api.up()

    def _post_certificate(self, rest, query, body):
        self.api.use_certificate(body["pem"])

    def _post_freeze(self, rest, query, body):
        self.api.freeze()

    def _post_thaw(self, rest, query, body):
        self.api.thaw()


def page_token(number):
    return base64.b64encode(json.dumps({"page": number}).encode()).decode()


def page_number(token):
    try:
        return json.loads(base64.b64decode(token))["page"]
    except (ValueError, KeyError):
        raise ApiError(400, "BadRequest", "continue key is not valid") from None
