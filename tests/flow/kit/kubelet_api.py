"""The API of a node's kubelet: its list of pods over TLS, to those who say who they are.  And the Pod objects of the kit's pods."""

import http.server
import json
import socket
import ssl
import threading
import time

TOKEN = "kubelet-token"


def pod_object(pod, labels=None, annotations=None, **metadata):
    """What the API says of one of kit.kubelet's pods."""
    runs = {container.name: container.restarts for container in pod.containers}
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid, "labels": labels or {}, "annotations": annotations or {}, **metadata},
            "spec": {"nodeName": "node-1", "containers": [{"name": name, "image": f"registry.example/{name}:1"} for name in runs]},
            "status": {"podIP": "10.1.2.3", "phase": "Running",
                       "containerStatuses": [{"name": name, "image": f"registry.example/{name}:1", "imageID": f"sha256:{name}", "restartCount": restarts,
                                              "containerID": f"containerd://{name}-{restarts + 1}"} for name, restarts in runs.items()]}}


class KubeletApi:
    """certificate: PEM of certificate and key; none = plain HTTP.  status: what it answers to those whose token is right."""

    def __init__(self, certificate=None):
        self.certificate = certificate
        self.pods = {}                # uid -> object
        self.status = 200
        self.body = None              # instead of the list
        self.delay = 0
        self.cut = None               # the share of an answer after which the connection breaks
        self.token = TOKEN
        self.asked = []               # monotonic times
        self.unauthorized = 0
        self.port = 0
        self.start()

    @property
    def url(self):
        return f"{'https' if self.certificate else 'http'}://127.0.0.1:{self.port}"

    def put(self, pod, labels=None, annotations=None, **metadata):
        self.pods[pod.uid] = pod_object(pod, labels, annotations, **metadata)

    def start(self):
        self._server = _Server(self)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
        self._server.hang_up()

    def answer(self, path, headers):
        self.asked.append(time.monotonic())
        if path != "/pods":
            return 404, b"404 page not found\n"
        if self.certificate and headers.get("Authorization") != f"Bearer {self.token}":
            self.unauthorized += 1
            return 401, b"Unauthorized"
        time.sleep(self.delay)
        if self.status != 200:
            return self.status, b"Forbidden (user=test, verb=get, resource=nodes, subresource(s)=[pods])"
        if self.body is not None:
            return 200, self.body
        return 200, json.dumps({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": list(self.pods.values())}).encode()


class _Server(http.server.ThreadingHTTPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, api):
        self.api = api
        self.connections = set()
        self.tls = None
        if api.certificate:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(api.certificate)
        super().__init__(("127.0.0.1", api.port), _Handler)

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

    def do_GET(self):
        status, body = self.server.api.answer(self.path, self.headers)
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if status == 200 else "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.api.cut is not None:
            body, self.close_connection = body[:int(len(body) * self.server.api.cut)], True
        self.wfile.write(body)

    def log_message(self, *_):
        pass
