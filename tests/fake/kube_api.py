#!/usr/bin/env python3
"""A scriptable Kubernetes API server, with scheduler, kubelets and garbage collector: see kube/__init__.py.

    kube_api.py [--port N] [--control N] [--tls PEM] [--token TOKEN=USER]... [--set NAME=JSON]...

Prints one line of JSON when it listens: {"port": ..., "control": ...}; ends when its standard input closes, or on a signal.
Without --token nobody has to say who he is; service accounts get tokens as from the real one, and are held to their rights.
"""

import argparse
import itertools
import json
import os
import signal
import ssl
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from kube import players, server                 # noqa: E402 (the path comes first)
from kube.admission import Admission             # noqa: E402
from kube.faults import Faults, Log              # noqa: E402
from kube.kinds import Kinds                     # noqa: E402
from kube.rbac import Rbac                       # noqa: E402
from kube.store import Store, expired, not_found, now  # noqa: E402

ADMIN = "system:admin"
NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


class KubeApi:
    """One cluster; start() and stop().  runner: see kube/kubelet.py."""

    def __init__(self, port=0, control_port=0, tls=None, tokens=None, seed=1, runner=None, **settings):
        self.settings = {**players.SETTINGS, "rbac": True, "watch_list": True, "cache_is_unpaged": True, "bookmark_seconds": 1.0}
        self.port, self.tls = port, None
        if tls:
            self.use_certificate(tls)
        self.tokens, self.is_open = dict(tokens or {}), not tokens
        self.store = Store(Kinds(), seed)
        self.store.admit = Admission(self.store)
        self.faults, self.log, self.rbac = Faults(seed), Log(), Rbac(self.store)
        self.watches = server.Watches(self.store)
        self.pages, self.page_numbers, self.pages_lock = {}, itertools.count(1), threading.Lock()
        self.players = players.Players(self.store, self.settings, runner)
        self.listener, self.frozen, self.is_stopped = None, None, False
        self.control = server.Listener(("127.0.0.1", control_port), server.Control, self)
        self.control_port = self.control.server_port
        for name, value in settings.items():
            self.set(**{name: value})
        for name in NAMESPACES:
            self.store.create(self.store.kinds.find("", "v1", "namespaces"), "", {"metadata": {"name": name}})

    def start(self):
        self.players.start()
        self.up()
        threading.Thread(target=self.control.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self):
        if self.is_stopped:
            return
        self.is_stopped = True
        self.thaw()
        self.faults.remove()
        self.down()
        self.control.shutdown()
        self.control.server_close()
        self.players.stop()

    def up(self):
        if self.listener is None:
            self.listener = server.Listener(("127.0.0.1", self.port), server.Api, self, self.tls)
            self.port = self.listener.server_port
            threading.Thread(target=self.listener.serve_forever, args=(0.05,), daemon=True).start()

    def down(self):
        listener, self.listener = self.listener, None
        if listener:
            listener.shutdown()
            listener.server_close()
            listener.cut()
            self.watches.order("close")

    def use_certificate(self, pem):
        """From the next up() on."""
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(pem)

    def freeze(self):
        """The store is locked: whoever wants anything of it waits."""
        if self.frozen is None:
            self.frozen, is_locked = threading.Event(), threading.Event()
            threading.Thread(target=self._hold, args=(self.frozen, is_locked), daemon=True).start()
            is_locked.wait()

    def _hold(self, until, is_locked):
        with self.store.changed:
            is_locked.set()
            until.wait()

    def thaw(self):
        frozen, self.frozen = self.frozen, None
        if frozen:
            frozen.set()

    def set(self, **settings):
        for name in settings:
            if name not in self.settings:
                raise KeyError(name)
        self.settings.update(settings)
        self.players.look_again()

    # ---- who -----------------------------------------------------------------------------------------

    def user_of(self, authorization):
        """None: we do not know him."""
        if not authorization:
            return ADMIN if self.is_open else None
        kind, _, token = authorization.partition(" ")
        return self.tokens.get(token) if kind == "Bearer" else None

    def token_request(self, namespace, name, request):
        accounts = self.store.kinds.find("", "v1", "serviceaccounts")
        if self.store.peek(accounts.key, namespace, name) is None:
            raise not_found(accounts, name)
        with self.store.changed:
            token = f"fake-{self.store.random.getrandbits(128):032x}"
        self.tokens[token] = f"system:serviceaccount:{namespace}:{name}"
        seconds = (request.get("spec") or {}).get("expirationSeconds") or 3600
        return {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "metadata": {"name": name, "namespace": namespace},
                "spec": request.get("spec") or {}, "status": {"token": token, "expirationTimestamp": now(seconds)}}

    # ---- pages of lists ------------------------------------------------------------------------------

    def keep_page(self, resource, version, items):
        """The rest of a list, as it was when its first page was read; its token."""
        with self.pages_lock:
            number = next(self.page_numbers)
            self.pages[number] = (resource, version, items)
            self.pages.pop(number - server.PAGES, None)
        return server.page_token(number)

    def next_page(self, token, resource):
        with self.pages_lock:
            kept = self.pages.get(server.page_number(token))
        if kept is None or kept[0] != resource:
            raise expired("of the continue token", self.store.version)
        return kept[1], kept[2]

    def forget_pages(self):
        with self.pages_lock:
            self.pages.clear()


def main():
    parser = argparse.ArgumentParser(prog="kube_api.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--control", type=int, default=0)
    parser.add_argument("--tls", metavar="PEM", help="certificate and key")
    parser.add_argument("--token", action="append", default=[], metavar="TOKEN=USER")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=JSON")
    options = parser.parse_args()
    settings = {name: json.loads(value) for name, value in (word.split("=", 1) for word in options.set)}
    api = KubeApi(options.port, options.control, options.tls, dict(word.split("=", 1) for word in options.token), **settings)
    api.start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(json.dumps({"port": api.port, "control": api.control_port}), flush=True)
    try:
        sys.stdin.read()
    except KeyboardInterrupt:
        pass
    finally:
        api.stop()


if __name__ == "__main__":
    main()
