"""An HTTP end with every bad habit.

    endpoint = Endpoint(behave)         behave: Request -> Answer; called before the body is read, which it may do through the request

What is answered with 2xx counts as taken, and is stored before the answer leaves: a sender that is killed in between sends it again.
"""

import base64
import email.utils
import gzip
import http.server
import json
import socket
import ssl
import struct
import threading
import time
from typing import NamedTuple

from kit import zstd

RESET, SILENT_CLOSE, HALF_BODY, HANG = "reset in upload", "close before the status", "half of the body", "hang"


class Answer(NamedTuple):
    status: int = 200
    headers: dict = {}
    body: bytes = b"ok"
    delay: float = 0            # seconds between the storing and the answer
    trouble: str = None         # one of the words above


OK = Answer()


class Request:
    """What came; the body is read when first asked for."""

    def __init__(self, number, handler):
        self.number = number            # from 0, over all connections
        self.path, self.headers, self._handler = handler.path, handler.headers, handler
        self.arrived = time.monotonic()
        self.length = int(self.headers.get("Content-Length", 0))
        self.encoding = self.headers.get("Content-Encoding", "")
        self.status = None              # what it got, once answered

    def _once(self, name, make):
        if name not in self.__dict__:
            self.__dict__[name] = make()
        return self.__dict__[name]

    @property
    def wire(self):
        """The body as it came."""
        return self._once("_wire", self._receive)

    def _receive(self):
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            return self._handler.rfile.read(self.length)
        parts = []
        while size := int(self._handler.rfile.readline(), 16):
            parts.append(self._handler.rfile.read(size))
            self._handler.rfile.readline()
        self._handler.rfile.readline()
        return b"".join(parts)

    @property
    def body(self):
        """The body decoded."""
        return self._once("_body", self._decode)

    def _decode(self):
        decode = {"zstd": zstd.decompress, "gzip": gzip.decompress, "": bytes}[self.encoding]
        return decode(self.wire)

    @property
    def records(self):
        return self._once("_records", lambda: parse(self.body))


def parse(body):
    """NDJSON or a JSON array -> records."""
    if body.lstrip().startswith(b"["):
        return json.loads(body)
    return [json.loads(line) for line in body.splitlines()]


class Endpoint:
    def __init__(self, behave=None, certificate=None, keep_wire=False, reads=True, host="127.0.0.1"):
        self.behave = behave or (lambda request: OK)
        self.keep_wire = keep_wire      # keep the bodies as they came, in .wires: (encoding, bytes)
        self.reads = reads              # if not, bodies are taken unread: for speed
        self.lock = threading.Lock()
        self.requests = []              # (path, status) in the order of the answers
        self.open_count = 0             # requests that wait for their answer
        self.taken = []                 # records, in the order in which they were stored
        self.wires = []
        self.number = 0
        self.gate = threading.Event()   # shut: answers of taken requests wait
        self.gate.set()
        self.errors = []                # bodies that could not be read: a test's failure
        self.certificate = certificate
        self.host, self.port = host, 0
        self.start()

    def start(self):
        self._server = _Server(self)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self):
        """Refuses connections from now on; start() listens on the same port again."""
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._server.hang_up()

    @property
    def url(self):
        return f"{'https' if self.certificate else 'http'}://{self.host}:{self.port}/in"

    def pump(self, oracle):
        """Gives the oracle what has been taken since the last call."""
        with self.lock:
            records, self.taken = self.taken, []
        oracle.take_all(records)

    def statuses(self):
        with self.lock:
            return [status for _, status in self.requests]

    # ---- one request, on its connection's thread ------------------------------------------------------

    def handle(self, handler):
        with self.lock:
            request = Request(self.number, handler)
            self.number += 1
            self.open_count += 1
        try:
            answer = self.behave(request)
            if answer.trouble == RESET:
                handler.rfile.read(min(request.length // 2, 4096))
                return handler.reset()
            request.wire  # in full, before any answer
            self._store(request, answer)
            self._wait(answer)
            handler.give(answer)
        except (ConnectionError, TimeoutError, ssl.SSLError):
            handler.close_connection = True
        except Exception as fault:
            self.errors.append(fault)
            raise
        finally:
            with self.lock:
                self.open_count -= 1

    def _store(self, request, answer):
        is_taken = 200 <= answer.status < 300 and answer.trouble is None
        records = request.records if is_taken and self.reads else []
        with self.lock:
            self.requests.append((request.path, answer.trouble or answer.status))
            self.taken += records
            if self.keep_wire:
                self.wires.append((request.encoding, request.wire))

    def _wait(self, answer):
        if answer.delay:
            time.sleep(answer.delay)
        if answer.trouble is None and 200 <= answer.status < 300:
            self.gate.wait()


class _Server(http.server.ThreadingHTTPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.connections = set()
        self.tls = None
        if endpoint.certificate:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(endpoint.certificate)
        super().__init__((endpoint.host, endpoint.port), _Handler)

    def finish_request(self, connection, address):
        self.connections.add(connection)
        try:
            if not self.tls:
                return super().finish_request(connection, address)
            connection.settimeout(20)
            with self.tls.wrap_socket(connection, server_side=True) as secure:
                super().finish_request(secure, address)
        except (OSError, ssl.SSLError):
            pass  # the client's business: it refused the certificate, or went away
        finally:
            self.connections.discard(connection)

    def hang_up(self):
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.wfile.flush()
        self.server.endpoint.handle(self)

    do_PUT = do_POST

    def give(self, answer):
        if answer.trouble == HANG:
            return self.hang()
        if answer.trouble == SILENT_CLOSE:
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body) * 2 if answer.trouble == HALF_BODY else len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)
        self.wfile.flush()
        self.close_connection = self.close_connection or answer.trouble == HALF_BODY

    def hang(self):
        """Says nothing until the other side goes."""
        self.close_connection = True
        self.connection.settimeout(120)
        while self.connection.recv(4096):
            pass

    def reset(self):
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, *_):
        pass


# ---- habits: functions that make a `behave` -----------------------------------------------------------

def first(count, answer, then=None):
    """answer for the first count requests (of any kind), then as `then`."""
    then = then or (lambda request: OK)
    return lambda request: answer if request.number < count else then(request)


def refuse_marked(marker, status=400):
    """status for every body that contains the marker line, whatever else is in it."""
    return lambda request: Answer(status) if marker in request.body else OK


def at_most(size):
    """413 above size decoded bytes."""
    return lambda request: Answer(413) if len(request.body) > size else OK


def authorized(header):
    """401 unless the Authorization header is the one that header() returns now."""
    return lambda request: OK if request.headers.get("Authorization") == header() else Answer(401)


def basic(name, password):
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def in_seconds_as_date(seconds):
    return email.utils.formatdate(time.time() + seconds, usegmt=True)
