"""The rest of a cluster: scheduler, node lifecycle, taint eviction, pod and object garbage collection, and the kubelets.

One thread reads the store's events in their order and acts by the clock; what it does, clients see as anybody's writes.  Each player can be
switched off by a setting, so that a test can play it itself.
"""

import heapq
import itertools
import threading
import time
import traceback

from kube.kubelet import Kubelet, with_condition
from kube.matching import fits, target, taints, toleration_of
from kube.store import ApiError, now

CONDITION_TAINTS = {  # condition type, status -> taint keys and effects
    ("Ready", "False"): ("node.kubernetes.io/not-ready", ("NoSchedule", "NoExecute")),
    ("Ready", "Unknown"): ("node.kubernetes.io/unreachable", ("NoSchedule", "NoExecute")),
    ("MemoryPressure", "True"): ("node.kubernetes.io/memory-pressure", ("NoSchedule",)),
    ("DiskPressure", "True"): ("node.kubernetes.io/disk-pressure", ("NoSchedule",)),
    ("PIDPressure", "True"): ("node.kubernetes.io/pid-pressure", ("NoSchedule",)),
    ("NetworkUnavailable", "True"): ("node.kubernetes.io/network-unavailable", ("NoSchedule",)),
}
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
OURS = {UNSCHEDULABLE, *(key for key, _ in CONDITION_TAINTS.values())}
UNITS = {"m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
POD_STORAGE, NODE_STORAGE, NAMESPACE_STORAGE = ("", "pods"), ("", "nodes"), ("", "namespaces")

SETTINGS = {
    "scheduler": True, "lifecycle": True, "collector": True,
    "kubelet": True,
    "ready_seconds": 0.05,      # from bound to Ready
    "end_seconds": 0.05,        # from the deletion to the end, if the pod's grace is not shorter
    "dead_nodes": [],           # whose kubelet does nothing
    "pod_gc_seconds": 0.5,      # after its node was deleted, a bound pod goes
}


class Players(threading.Thread):
    def __init__(self, store, settings, runner=None):
        super().__init__(name="players", daemon=True)
        self.store, self.settings = store, settings
        self.pods = store.kinds.find("", "v1", "pods")
        self.nodes = store.kinds.find("", "v1", "nodes")
        self.cursor, self.timers, self.order, self.is_stopping = 0, [], itertools.count(), False
        self.unbound, self.on_node = set(), {}
        self.kubelet = Kubelet(self, runner)

    def stop(self):
        with self.store.changed:
            self.is_stopping = True
            self.store.changed.notify_all()
        self.join()
        self.kubelet.stop()

    def later(self, seconds, action):
        """action() in so many seconds, on this thread."""
        with self.store.changed:
            heapq.heappush(self.timers, (time.monotonic() + seconds, next(self.order), action))
            self.store.changed.notify_all()

    def look_again(self):
        """Settings have changed."""
        self.later(0, self._look_at_all)

    def _look_at_all(self):
        for node in self.store.items(NODE_STORAGE):
            self._node_changed(node)
        for pod in self.store.items(POD_STORAGE):
            self._pod_changed(pod)

    def run(self):
        while not self.is_stopping:
            for action in self._next():
                try:
                    action()
                except ApiError:
                    pass  # what it was about has gone or changed meanwhile
                except Exception:  # a bug here must be seen, not end the cluster
                    traceback.print_exc()

    def _next(self):
        """Waits; what there is to do now."""
        changed = self.store.changed
        with changed:
            while not self.is_stopping:
                events, due = self.store.events[self.cursor:], []
                self.cursor += len(events)
                moment = time.monotonic()
                while self.timers and self.timers[0][0] <= moment:
                    due.append(heapq.heappop(self.timers)[2])
                if events or due:
                    return [*(lambda event=event: self._take(event) for event in events), *due]
                changed.wait(self.timers[0][0] - moment if self.timers else None)
        return []

    def _take(self, event):
        if event.storage == POD_STORAGE:
            self._index(event)
            if event.type == "DELETED":
                self.kubelet.gone(event.new)
                self._schedule_waiting()
            else:
                self._pod_changed(event.new)
        elif event.storage == NODE_STORAGE:
            if event.type == "DELETED":
                self._node_gone(event.key[1])
            else:
                self._node_changed(event.new)
        elif event.storage == NAMESPACE_STORAGE and event.type == "ADDED":
            accounts = self.store.kinds.find("", "v1", "serviceaccounts")
            self.store.create(accounts, event.key[1], {"metadata": {"name": "default"}})
        elif event.storage[1] == "customresourcedefinitions" and event.type == "DELETED":
            self.store.kinds.forget(event.new)
        if self.settings["collector"]:
            self._collect(event)

    # ---- scheduler -----------------------------------------------------------------------------------

    def _index(self, event):
        key, place = event.key, (event.new["spec"].get("nodeName") if event.type != "DELETED" else None)
        before = event.old and event.old["spec"].get("nodeName")
        if before and before != place:
            self.on_node.get(before, set()).discard(key)
        if place:
            self.on_node.setdefault(place, set()).add(key)
        if event.type == "DELETED" or place:
            self.unbound.discard(key)
        else:
            self.unbound.add(key)

    def _pod_changed(self, pod):
        if pod["spec"].get("nodeName"):
            self._evict_from_taints(pod)
            self.kubelet.look(pod)
            if self.store.peek(NODE_STORAGE, "", pod["spec"]["nodeName"]) is None:
                self._node_gone(pod["spec"]["nodeName"])
        else:
            self._schedule(pod)

    def _schedule_waiting(self, node=None):
        for key in sorted(self.unbound):
            pod = self.store.peek(POD_STORAGE, *key)
            if pod and (node is None or target(pod) in (None, node)):
                self._schedule(pod)

    def _schedule(self, pod):
        if not self.settings["scheduler"] or pod["metadata"].get("deletionTimestamp") or pod["spec"]["schedulerName"] != "default-scheduler":
            return
        with self.store.changed:
            name = target(pod)
            nodes = self.store.items(NODE_STORAGE) if name is None else filter(None, [self.store.peek(NODE_STORAGE, "", name)])
            node = next((node for node in nodes if fits(pod, node) and self._has_room(pod, node)), None)
            if node is None:
                self._condition(pod, "PodScheduled", "False", "Unschedulable", "no nodes are available")
            else:
                self.bind(pod, node["metadata"]["name"])

    def bind(self, pod, node):
        def change(old):
            if old["spec"].get("nodeName"):
                return None
            bound = with_condition(old.get("status") or {}, "PodScheduled", "True")
            return {**old, "spec": {**old["spec"], "nodeName": node}, "status": bound}
        self.store.replace(self.pods, pod["metadata"]["namespace"], pod["metadata"]["name"], change)

    def _condition(self, pod, type_, status, reason, message):
        self.store.replace(self.pods, pod["metadata"]["namespace"], pod["metadata"]["name"],
                           lambda old: {**old, "status": with_condition(old.get("status") or {}, type_, status, reason, message)})

    def _has_room(self, pod, node):
        others = [self.store.peek(POD_STORAGE, *key) for key in self.on_node.get(node["metadata"]["name"], ())]
        others = [other for other in others if other and (other.get("status") or {}).get("phase") not in ("Failed", "Succeeded")]
        if _host_ports(pod) & {port for other in others for port in _host_ports(other)}:
            return False
        room = (node.get("status") or {}).get("allocatable") or {}
        if "pods" in room and len(others) >= int(room["pods"]):
            return False
        return all(_request(pod, what) + sum(_request(other, what) for other in others) <= _quantity(room[what])
                   for what in ("cpu", "memory") if what in room and _request(pod, what))

    # ---- nodes ---------------------------------------------------------------------------------------

    def _node_changed(self, node):
        name = node["metadata"]["name"]
        if self.settings["lifecycle"]:
            self.store.replace(self.nodes, "", name, _with_right_taints)
            node = self.store.peek(NODE_STORAGE, "", name) or node
        for key in sorted(self.on_node.get(name, ())):
            pod = self.store.peek(POD_STORAGE, *key)
            if pod:
                self._evict_from_taints(pod)
                self.kubelet.look(pod)
        self._schedule_waiting(name)

    def _node_gone(self, name):
        def collect():
            if self.settings["collector"] and self.store.peek(NODE_STORAGE, "", name) is None:
                for namespace, pod in sorted(self.on_node.get(name, ())):
                    self.store.delete(self.pods, namespace, pod, {"gracePeriodSeconds": 0})
        self.later(self.settings["pod_gc_seconds"], collect)

    def _evict_from_taints(self, pod):
        node = self.store.peek(NODE_STORAGE, "", pod["spec"]["nodeName"])
        if node is None or not self.settings["lifecycle"] or pod["metadata"].get("deletionTimestamp"):
            return
        for taint in taints(node):
            if taint["effect"] != "NoExecute":
                continue
            toleration = toleration_of(pod, taint)
            if toleration is None:
                self._delete_if_same(pod)
            elif toleration.get("tolerationSeconds") is not None:
                self.later(max(0, toleration["tolerationSeconds"]), lambda taint=taint: self._outstayed(pod, taint))

    def _outstayed(self, pod, taint):
        node = self.store.peek(NODE_STORAGE, "", pod["spec"]["nodeName"])
        if node and taint in taints(node):
            self._delete_if_same(pod)

    def _delete_if_same(self, pod):
        meta = pod["metadata"]
        self.store.delete(self.pods, meta["namespace"], meta["name"], {"preconditions": {"uid": meta["uid"]}})

    # ---- garbage collection --------------------------------------------------------------------------

    def _collect(self, event):
        meta = event.new["metadata"]
        if event.type == "DELETED" or meta.get("deletionTimestamp"):
            self._look_at_owner(meta["uid"])
        for reference in meta.get("ownerReferences") or ():
            self._look_at_owner(reference["uid"])
        if event.storage == NAMESPACE_STORAGE:
            self._empty_namespace(event.key[1])
        elif event.type == "DELETED" and event.key[0]:
            self._empty_namespace(event.key[0])

    def _look_at_owner(self, uid):
        with self.store.changed:
            place, dependents = self.store.uids.get(uid), sorted(self.store.owned.get(uid, ()))
            if place is None:
                for storage, key in dependents:
                    self._owner_gone(storage, key, uid)
                return
            owner = self.store.peek(place[0], *place[1])
            finalizers = owner["metadata"].get("finalizers") or []
            if not owner["metadata"].get("deletionTimestamp"):
                return
            if "orphan" in finalizers:
                for storage, key in dependents:
                    self._release(storage, key, uid)
                self._drop_finalizer(place, "orphan")
            elif "foregroundDeletion" in finalizers:
                self._delete_before_owner(dependents, uid)
                blocking = [1 for storage, key in self.store.owned.get(uid, ()) if self._blocks(storage, key, uid)]
                if not blocking:
                    self._drop_finalizer(place, "foregroundDeletion")

    def _owner_gone(self, storage, key, uid):
        item = self.store.peek(storage, *key)
        others = [r for r in item["metadata"]["ownerReferences"] if r["uid"] != uid and r["uid"] in self.store.uids]
        if others:
            self._release(storage, key, uid)
        elif not item["metadata"].get("deletionTimestamp"):
            self.store.delete(self._resource(storage), *key, {"preconditions": {"uid": item["metadata"]["uid"]}})

    def _delete_before_owner(self, dependents, uid):
        for storage, key in dependents:
            if not self.store.peek(storage, *key)["metadata"].get("deletionTimestamp"):
                self.store.delete(self._resource(storage), *key)

    def _blocks(self, storage, key, uid):
        references = self.store.peek(storage, *key)["metadata"].get("ownerReferences") or ()
        return any(r["uid"] == uid and r.get("blockOwnerDeletion") for r in references)

    def _release(self, storage, key, uid):
        def change(old):
            left = [r for r in old["metadata"].get("ownerReferences") or () if r["uid"] != uid]
            return {**old, "metadata": {**{k: v for k, v in old["metadata"].items() if k != "ownerReferences"}, **({"ownerReferences": left} if left else {})}}
        self.store.replace(self._resource(storage), *key, change)

    def _drop_finalizer(self, place, name):
        def change(old):
            left = [each for each in old["metadata"].get("finalizers") or () if each != name]
            return {**old, "metadata": {**{k: v for k, v in old["metadata"].items() if k != "finalizers"}, **({"finalizers": left} if left else {})}}
        self.store.replace(self._resource(place[0]), *place[1], change)

    def _resource(self, storage):
        return next(r for r in self.store.kinds.all.values() if r.key == storage)

    def _empty_namespace(self, name):
        with self.store.changed:
            home = self.store.peek(NAMESPACE_STORAGE, "", name)
            if home is None or not home["metadata"].get("deletionTimestamp"):
                return
            inside = [(storage, key) for storage, objects in self.store.objects.items() for key in objects if key[0] == name]
            for storage, key in inside:
                if not self.store.peek(storage, *key)["metadata"].get("deletionTimestamp"):
                    self.store.delete(self._resource(storage), *key)
            if not any(key[0] == name for objects in self.store.objects.values() for key in objects):
                self.store.remove(self.store.kinds.find("", "v1", "namespaces"), "", name)


def _with_right_taints(node):
    held = taints(node)
    wanted = [taint for taint in held if taint["key"] not in OURS]
    if node["spec"].get("unschedulable"):
        wanted.append({"key": UNSCHEDULABLE, "effect": "NoSchedule"})
    for condition in (node.get("status") or {}).get("conditions") or ():
        key, effects = CONDITION_TAINTS.get((condition["type"], condition["status"]), (None, ()))
        wanted += [{"key": key, "effect": effect} for effect in effects]
    wanted = [next((t for t in held if (t["key"], t["effect"]) == (w["key"], w["effect"])), {**w, "timeAdded": now()}) for w in wanted]
    if sorted(map(str, wanted)) == sorted(map(str, held)):
        return None
    spec = {key: value for key, value in node["spec"].items() if key != "taints"}
    return {**node, "spec": {**spec, "taints": wanted} if wanted else spec}


def _host_ports(pod):
    is_host = pod["spec"].get("hostNetwork")
    return {(port.get("protocol", "TCP"), port.get("hostPort") or port["containerPort"]) for container in pod["spec"]["containers"]
            for port in container.get("ports") or () if port.get("hostPort") or is_host}


def _request(pod, what):
    return sum(_quantity(((c.get("resources") or {}).get("requests") or {}).get(what, 0)) for c in pod["spec"]["containers"])


def _quantity(text):
    text = str(text)
    unit = text.lstrip("0123456789.")
    return float(text[:len(text) - len(unit)] or 0) * UNITS.get(unit, 1)
