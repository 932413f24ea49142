"""All nodes' kubelets: pods become Running and Ready some time after they were bound, and end some time after they were deleted.

By default a pod is only a status.  With a runner it is something real: an object with
    start(pod)      begins it and returns a handle
    is_ready(handle), exit_status(handle) (None while it runs), stop(handle), kill(handle)
all called on the players' thread, so none of them may wait.

A label of the pod asks for other behaviour: fake.drave.dev/start = never (Running, but never Ready) or fail (Failed).
"""

import time

from kube.store import now

LABEL = "fake.drave.dev/start"
POLL_SECONDS = 0.05
RESTART_SECONDS = 0.5
START, STARTING, RUNNING, ENDING = range(4)


class _Pod:
    def __init__(self, node):
        self.node, self.state, self.handle, self.restarts, self.deadline = node, START, None, 0, None


class Kubelet:
    def __init__(self, players, runner):
        self.players, self.runner, self.pods = players, runner, {}
        self.address = 0

    def stop(self):
        for pod in self.pods.values():
            if pod.handle is not None:
                self.runner.kill(pod.handle)

    def look(self, item):
        """A bound pod is new or has changed, or its node has."""
        settings, meta, node = self.players.settings, item["metadata"], item["spec"]["nodeName"]
        if not settings["kubelet"] or node in settings["dead_nodes"] or self.players.store.peek(("", "nodes"), "", node) is None:
            return
        pod = self.pods.setdefault(meta["uid"], _Pod(node))
        if meta.get("deletionTimestamp"):
            grace = meta.get("deletionGracePeriodSeconds", 30)
            if pod.state != ENDING:
                pod.state = ENDING
                self._end(pod, item, grace)
        elif pod.state == START and (item.get("status") or {}).get("phase") == "Pending":
            pod.state = STARTING
            self.players.later(settings["ready_seconds"], lambda: self._start(pod, item))

    def gone(self, item):
        pod = self.pods.pop(item["metadata"]["uid"], None)
        if pod and pod.handle is not None:
            self.runner.kill(pod.handle)

    # ---- its life ------------------------------------------------------------------------------------

    def _start(self, pod, item):
        if pod.state != STARTING or item["spec"]["nodeName"] in self.players.settings["dead_nodes"]:
            pod.state = START if pod.state == STARTING else pod.state
            return
        wish = (item["metadata"].get("labels") or {}).get(LABEL)
        if wish == "fail":
            self._write(pod, item, "Failed", False, reason="Error", message="asked for by its label")
            return
        if self.runner is None:
            pod.state = RUNNING
            self._write(pod, item, "Running", wish != "never")
            return
        pod.handle = self.runner.start(item)
        self._write(pod, item, "Running", False)
        self._poll(pod, item)

    def _poll(self, pod, item):
        """Looks after what the runner runs, until it ends."""
        if item["metadata"]["uid"] not in self.pods or pod.handle is None:
            return
        status = self.runner.exit_status(pod.handle)
        if status is None:
            if pod.state == STARTING and self.runner.is_ready(pod.handle):
                pod.state = RUNNING
                self._write(pod, item, "Running", True)
            if pod.state == ENDING and pod.deadline is not None and time.monotonic() >= pod.deadline:
                self.runner.kill(pod.handle)
        elif pod.state == ENDING:
            pod.handle = None
            self._finish(item)
            return
        else:
            pod.handle, pod.state, pod.restarts = None, STARTING, pod.restarts + 1
            self._write(pod, item, "Running", False, exit_status=status)
            self.players.later(RESTART_SECONDS, lambda: self._start(pod, item))
            return
        self.players.later(POLL_SECONDS, lambda: self._poll(pod, item))

    def _end(self, pod, item, grace):
        if pod.handle is not None:
            pod.deadline = time.monotonic() + grace
            self.runner.stop(pod.handle)
        else:
            self.players.later(min(grace, self.players.settings["end_seconds"]), lambda: self._finish(item, pod))

    def _finish(self, item, pod=None):
        if pod and item["spec"]["nodeName"] in self.players.settings["dead_nodes"]:
            pod.state = RUNNING  # it died while the pod was ending: begins again when it is back
            return
        meta = item["metadata"]
        self.players.store.delete(self.players.pods, meta["namespace"], meta["name"], {"gracePeriodSeconds": 0, "preconditions": {"uid": meta["uid"]}})

    def _write(self, pod, item, phase, is_ready, exit_status=None, **more):
        meta = item["metadata"]
        self.address += 1

        def change(old):
            if old["metadata"]["uid"] != meta["uid"]:
                return None
            status = {"podIP": f"10.{self.address >> 16 & 255}.{self.address >> 8 & 255}.{self.address & 255}", "startTime": now(),
                      **(old.get("status") or {}), "phase": phase, "hostIP": "127.0.0.1", **more}
            for type_, value in (("Initialized", phase != "Failed"), ("ContainersReady", is_ready), ("Ready", is_ready)):
                status = with_condition(status, type_, str(bool(value)))
            status["containerStatuses"] = [self._container(container, phase, is_ready, pod.restarts, exit_status)
                                           for container in old["spec"]["containers"]]
            return {**old, "status": status}
        self.players.store.replace(self.players.pods, meta["namespace"], meta["name"], change)

    @staticmethod
    def _container(container, phase, is_ready, restarts, exit_status):
        if phase == "Failed":
            state = {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": now()}}
        elif exit_status is not None:
            state = {"waiting": {"reason": "CrashLoopBackOff", "message": f"exit status {exit_status}"}}
        else:
            state = {"running": {"startedAt": now()}}
        return {"name": container["name"], "image": container["image"], "imageID": "", "ready": is_ready, "started": phase == "Running",
                "restartCount": restarts, "state": state}


def with_condition(status, type_, value, reason="", message=""):
    """status with this condition; its time moves only if its value does."""
    old = next((c for c in status.get("conditions") or () if c["type"] == type_), {})
    new = {"type": type_, "status": value, "lastProbeTime": None,
           "lastTransitionTime": old["lastTransitionTime"] if old.get("status") == value else now()}
    if reason:
        new.update(reason=reason, message=message)
    return {**status, "conditions": [*(c for c in status.get("conditions") or () if c["type"] != type_), new]}
