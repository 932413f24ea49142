"""What the real server adds to, or refuses in, an object that is written: only what a controller could come to depend on."""

from kube.kinds import add_defaults
from kube.store import ApiError, invalid

DEFAULT_SECONDS = 300
NOT_READY = "node.kubernetes.io/not-ready"


class Admission:
    def __init__(self, store):
        self.store = store

    def __call__(self, resource, new, old):
        check = getattr(self, f"_{resource.plural}", None)
        if check:
            check(resource, new, old)
        if resource.schema:
            add_defaults(new, resource.schema)
        for reference in new["metadata"].get("ownerReferences") or ():
            if not all(reference.get(field) for field in ("apiVersion", "kind", "name", "uid")):
                raise invalid(resource, new["metadata"]["name"], ("metadata.ownerReferences", "Required value: apiVersion, kind, name and uid"))
        if sum(bool(reference.get("controller")) for reference in new["metadata"].get("ownerReferences") or ()) > 1:
            raise invalid(resource, new["metadata"]["name"], ("metadata.ownerReferences", "Only one reference can have Controller set to true"))

    def _namespaces(self, resource, new, old):
        new.setdefault("spec", {"finalizers": ["kubernetes"]})
        new.setdefault("status", {"phase": "Active"})

    def _nodes(self, resource, new, old):
        new.setdefault("spec", {})
        new.setdefault("status", {})
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in new["status"].get("conditions") or ())
        if old is None and not ready and not any(taint["key"] == NOT_READY for taint in new["spec"].get("taints") or ()):
            new["spec"].setdefault("taints", []).append({"key": NOT_READY, "effect": "NoSchedule"})

    def _pods(self, resource, new, old):
        name, spec = new["metadata"]["name"], new.get("spec") or {}
        if old is not None:
            if new["spec"].get("nodeName") != old["spec"].get("nodeName") and old["spec"].get("nodeName"):
                raise invalid(resource, name, ("spec.nodeName", "Forbidden: pod updates may not change it"))
            return
        if not spec.get("containers"):
            raise invalid(resource, name, ("spec.containers", "Required value"))
        for i, container in enumerate(spec["containers"]):
            for field in ("name", "image"):
                if not container.get(field):
                    raise invalid(resource, name, (f"spec.containers[{i}].{field}", "Required value"))
        account = spec.setdefault("serviceAccountName", "default")
        if self.store.peek(("", "serviceaccounts"), new["metadata"]["namespace"], account) is None:
            raise ApiError(403, "Forbidden", f'pods "{name}" is forbidden: error looking up service account '
                           f'{new["metadata"]["namespace"]}/{account}: serviceaccount "{account}" not found', {"name": name, "kind": "pods"})
        for field, value in (("restartPolicy", "Always"), ("dnsPolicy", "ClusterFirst"), ("schedulerName", "default-scheduler"),
                             ("terminationGracePeriodSeconds", 30), ("enableServiceLinks", True), ("preemptionPolicy", "PreemptLowerPriority")):
            spec.setdefault(field, value)
        self._default_tolerations(spec)
        new["status"] = {"phase": "Pending", "qosClass": "BestEffort"}

    @staticmethod
    def _default_tolerations(spec):
        tolerations = spec.setdefault("tolerations", [])
        for key in (NOT_READY, "node.kubernetes.io/unreachable"):
            if not any(t.get("key", key) in (key, "") and t.get("effect", "NoExecute") in ("NoExecute", "") for t in tolerations):
                tolerations.append({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": DEFAULT_SECONDS})

    def _controllerrevisions(self, resource, new, old):
        if old is not None and new.get("data") != old.get("data"):
            raise invalid(resource, new["metadata"]["name"], ("data", "Invalid value: field is immutable"))
        if not isinstance(new.get("revision"), int) or new["revision"] < 0:
            raise invalid(resource, new["metadata"]["name"], ("revision", "Invalid value: must be greater than or equal to 0"))

    def _leases(self, resource, new, old):
        spec = new.get("spec") or {}
        for field in ("leaseDurationSeconds",):
            if field in spec and spec[field] <= 0:
                raise invalid(resource, new["metadata"]["name"], (f"spec.{field}", "Invalid value: must be greater than 0"))
        if spec.get("leaseTransitions", 0) < 0:
            raise invalid(resource, new["metadata"]["name"], ("spec.leaseTransitions", "Invalid value: must be greater than or equal to 0"))

    def _customresourcedefinitions(self, resource, new, old):
        self.store.kinds.define(new)
        names = new["spec"]["names"]
        new["status"] = {"acceptedNames": names, "storedVersions": [v["name"] for v in new["spec"]["versions"] if v.get("storage")],
                         "conditions": [{"type": type_, "status": "True", "reason": reason, "message": "",
                                         "lastTransitionTime": new["metadata"]["creationTimestamp"]}
                                        for type_, reason in (("NamesAccepted", "NoConflicts"), ("Established", "InitialNamesAccepted"))]}
