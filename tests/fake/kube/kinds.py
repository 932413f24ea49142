"""What resources there are, what is particular about each, and the discovery documents that tell of them."""

from typing import NamedTuple

from kube.table import COLUMNS


class Resource(NamedTuple):
    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    short: tuple = ()
    has_status: bool = False        # /status is written apart from the rest
    keeps_status: bool = False      # ... but what comes with a create is kept
    needs_version: bool = False     # an update without resourceVersion is refused
    has_generation: bool = False    # counted up whenever anything but metadata and status changes
    fields: tuple = ()              # field selectors beside metadata.name and metadata.namespace
    columns: tuple = ()             # of kubectl get
    schema: dict = None             # of a custom resource: its OpenAPI schema, for the defaults

    @property
    def key(self):
        """Where it is stored: events have two groups and one storage."""
        return ("", "events") if self.plural == "events" else (self.group, self.plural)

    @property
    def api_version(self):
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def title(self):
        """As in messages: pods, collectorsets.drave.dev."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def subresources(self):
        names = ["status"] if self.has_status else []
        return names + {"pods": ["binding", "eviction"], "serviceaccounts": ["token"]}.get(self.plural, [])


EVENT_FIELDS = ("involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid", "regarding.kind",
                "regarding.namespace", "regarding.name", "regarding.uid", "reason", "type", "reportingController")
POD_FIELDS = ("spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork", "status.phase",
              "status.podIP", "status.nominatedNodeName")


def _builtin(group, version, plural, kind, **more):
    return Resource(group, version, plural, kind, columns=COLUMNS.get(plural, ()), **more)


BUILTIN = (
    _builtin("", "v1", "namespaces", "Namespace", namespaced=False, short=("ns",), has_status=True, fields=("status.phase",)),
    _builtin("", "v1", "nodes", "Node", namespaced=False, short=("no",), has_status=True, keeps_status=True, fields=("spec.unschedulable",)),
    _builtin("", "v1", "pods", "Pod", short=("po",), has_status=True, has_generation=True, fields=POD_FIELDS),
    _builtin("", "v1", "events", "Event", short=("ev",), fields=EVENT_FIELDS),
    _builtin("", "v1", "serviceaccounts", "ServiceAccount", short=("sa",)),
    _builtin("", "v1", "configmaps", "ConfigMap", short=("cm",)),
    _builtin("", "v1", "secrets", "Secret", fields=("type",)),
    _builtin("", "v1", "services", "Service", short=("svc",), has_status=True),
    _builtin("apps", "v1", "controllerrevisions", "ControllerRevision"),
    _builtin("apps", "v1", "daemonsets", "DaemonSet", short=("ds",), has_status=True, has_generation=True),
    _builtin("apps", "v1", "deployments", "Deployment", short=("deploy",), has_status=True, has_generation=True),
    _builtin("coordination.k8s.io", "v1", "leases", "Lease", needs_version=True),
    _builtin("events.k8s.io", "v1", "events", "Event", short=("ev",), fields=EVENT_FIELDS),
    _builtin("rbac.authorization.k8s.io", "v1", "roles", "Role"),
    _builtin("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding"),
    _builtin("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False),
    _builtin("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False),
    _builtin("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", short=("pdb",), has_status=True, has_generation=True),
    _builtin("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", short=("netpol",)),
    _builtin("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", namespaced=False, short=("pc",)),
    _builtin("flowcontrol.apiserver.k8s.io", "v1", "flowschemas", "FlowSchema", namespaced=False, has_status=True),
    _builtin("admissionregistration.k8s.io", "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", namespaced=False),
    _builtin("admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", namespaced=False),
    _builtin("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False, short=("crd", "crds"),
             has_status=True, has_generation=True),
)

# So that nothing has to be installed before a CollectorSet can be made; a definition that is applied takes its place.
COLLECTOR_SETS = Resource("drave.dev", "v1alpha1", "collectorsets", "CollectorSet", short=("cset",), has_status=True, needs_version=True,
                          has_generation=True)


class Kinds:
    """All resources that are served now."""

    def __init__(self):
        self.all = {(r.group, r.version, r.plural): r for r in (*BUILTIN, COLLECTOR_SETS)}

    def find(self, group, version, plural):
        return self.all.get((group, version, plural))

    def by_kind(self, api_version, kind):
        return next((r for r in self.all.values() if (r.api_version, r.kind) == (api_version, kind)), None)

    def define(self, definition):
        """A CustomResourceDefinition was written: serve what it says."""
        spec = definition["spec"]
        for version in spec["versions"]:
            key = (spec["group"], version["name"], spec["names"]["plural"])
            if not version.get("served"):
                self.all.pop(key, None)
                continue
            columns = tuple((c["name"], c["type"], c.get("priority", 0), c["jsonPath"]) for c in version.get("additionalPrinterColumns") or ())
            self.all[key] = Resource(*key, spec["names"]["kind"], namespaced=spec["scope"] == "Namespaced",
                                     short=tuple(spec["names"].get("shortNames") or ()), has_status="status" in (version.get("subresources") or {}),
                                     needs_version=True, has_generation=True, columns=columns,
                                     schema=(version.get("schema") or {}).get("openAPIV3Schema"))

    def forget(self, definition):
        spec = definition["spec"]
        for version in spec["versions"]:
            self.all.pop((spec["group"], version["name"], spec["names"]["plural"]), None)

    # ---- discovery -----------------------------------------------------------------------------------

    def groups(self):
        versions = {}
        for r in self.all.values():
            if r.group and r.version not in versions.setdefault(r.group, []):
                versions[r.group].append(r.version)
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [self._group(name, versions[name]) for name in versions]}

    @staticmethod
    def _group(name, versions):
        rows = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
        return {"name": name, "versions": rows, "preferredVersion": rows[0]}

    def resources(self, group, version):
        rows = []
        for r in self.all.values():
            if (r.group, r.version) == (group, version):
                verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
                rows.append({"name": r.plural, "singularName": r.kind.lower(), "namespaced": r.namespaced, "kind": r.kind, "verbs": verbs,
                             "shortNames": list(r.short)})
                rows += [{"name": f"{r.plural}/{sub}", "singularName": "", "namespaced": r.namespaced, "kind": r.kind,
                          "verbs": ["get", "patch", "update"] if sub == "status" else ["create"]} for sub in r.subresources()]
        if not rows:
            return None
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{group}/{version}" if group else version, "resources": rows}

    def openapi_root(self):
        places = {f"apis/{r.api_version}" if r.group else f"api/{r.version}" for r in self.all.values()}
        return {"paths": {place: {"serverRelativeURL": f"/openapi/v3/{place}"} for place in sorted(places)}}

    def openapi(self, place):
        """Just enough for kubectl to see that the server validates fields itself."""
        paths = {}
        for r in self.all.values():
            base = f"apis/{r.api_version}" if r.group else f"api/{r.version}"
            if base == place:
                middle = "/namespaces/{namespace}" if r.namespaced else ""
                kind = {"group": r.group, "version": r.version, "kind": r.kind}
                paths[f"/{base}{middle}/{r.plural}/{{name}}"] = {"patch": {
                    "operationId": f"patch{r.kind}", "x-kubernetes-group-version-kind": kind, "responses": {},
                    "parameters": [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}]}}
        return {"openapi": "3.0.0", "info": {"title": "fake", "version": "v1"}, "paths": paths}


def add_defaults(value, schema):
    """Fills in, in place, what the schema of a custom resource says about fields that are not there."""
    if isinstance(value, dict):
        for name, part in (schema.get("properties") or {}).items():
            if name not in value and "default" in part:
                value[name] = part["default"]
            if name in value:
                add_defaults(value[name], part)
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        for item in value:
            add_defaults(item, schema["items"])
