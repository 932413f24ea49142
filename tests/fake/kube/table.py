"""What kubectl get shows: rows of cells, from columns that are (title, type, priority, a function or a JSON path)."""

import calendar
import re
import time


def at(item, path):
    """.status.x, with dots in a key escaped as in .metadata.labels.a\\.b; None if it is not there."""
    for step in re.findall(r"\.((?:\\.|[^.\\])+)", path):
        item = item.get(step.replace("\\.", ".")) if isinstance(item, dict) else None
    return item


def seconds_of(stamp):
    return calendar.timegm(time.strptime(re.sub(r"\.\d+", "", stamp), "%Y-%m-%dT%H:%M:%SZ"))


def age(stamp):
    """As people read it: 5s, 3m20s, 4h, 9d."""
    if not stamp:
        return "<unknown>"
    seconds = max(0, int(time.time() - seconds_of(stamp)))
    if seconds < 120:
        return f"{seconds}s"
    if seconds < 600:
        return f"{seconds // 60}m{seconds % 60}s" if seconds % 60 else f"{seconds // 60}m"
    if seconds < 3 * 3600:
        return f"{seconds // 60}m"
    return f"{seconds // 3600}h" if seconds < 48 * 3600 else f"{seconds // 86400}d"


def _pod_ready(pod):
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return f"{sum(bool(s.get('ready')) for s in statuses)}/{len(pod['spec'].get('containers') or ())}"


def _pod_status(pod):
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    status = pod.get("status") or {}
    waiting = [s["state"]["waiting"]["reason"] for s in status.get("containerStatuses") or () if "waiting" in (s.get("state") or {})]
    return waiting[0] if waiting else status.get("reason") or status.get("phase", "")


def _restarts(pod):
    return sum(s.get("restartCount", 0) for s in (pod.get("status") or {}).get("containerStatuses") or ())


def _node_status(node):
    conditions = {c["type"]: c["status"] for c in (node.get("status") or {}).get("conditions") or ()}
    words = ["Ready" if conditions.get("Ready") == "True" else "NotReady"]
    return ",".join(words + ["SchedulingDisabled"] * bool(node["spec"].get("unschedulable")))


AGE = ("Age", "string", 0, lambda item: age(item["metadata"].get("creationTimestamp")))
NAME = ("Name", "string", 0, lambda item: item["metadata"]["name"])
COLUMNS = {
    "pods": (("Ready", "string", 0, _pod_ready), ("Status", "string", 0, _pod_status), ("Restarts", "integer", 0, _restarts), AGE,
             ("IP", "string", 1, lambda pod: (pod.get("status") or {}).get("podIP") or "<none>"),
             ("Node", "string", 1, lambda pod: pod["spec"].get("nodeName") or "<none>")),
    "nodes": (("Status", "string", 0, _node_status), ("Roles", "string", 0, lambda node: "<none>"), AGE,
              ("Version", "string", 0, lambda node: at(node, ".status.nodeInfo.kubeletVersion") or "")),
    "namespaces": (("Status", "string", 0, lambda item: at(item, ".status.phase")), AGE),
    "leases": (("Holder", "string", 0, lambda item: at(item, ".spec.holderIdentity") or ""), AGE),
    "controllerrevisions": (
        ("Controller", "string", 0, lambda item: next((f"{o['kind'].lower()}/{o['name']}" for o in item["metadata"].get("ownerReferences") or ()
                                                       if o.get("controller")), "<none>")),
        ("Revision", "integer", 0, lambda item: item.get("revision")), AGE),
    "events": (("Last Seen", "string", 0, lambda e: age(e.get("lastTimestamp") or e.get("eventTime") or e["metadata"]["creationTimestamp"])),
               ("Type", "string", 0, lambda e: e.get("type")), ("Reason", "string", 0, lambda e: e.get("reason")),
               ("Object", "string", 0, lambda e: f"{(at(e, '.involvedObject.kind') or '').lower()}/{at(e, '.involvedObject.name')}"),
               ("Message", "string", 0, lambda e: e.get("message"))),
}


def columns_of(resource):
    rows = [NAME, *(resource.columns or (AGE,))]
    return rows[1:] if resource.plural == "events" else rows


def head(resource):
    return [{"name": title, "type": type_, "format": "name" if title == "Name" else "", "description": "", "priority": priority}
            for title, type_, priority, _ in columns_of(resource)]


def cell(item, type_, source):
    if callable(source):
        return source(item)
    value = at(item, source)
    return age(value) if type_ == "date" and value else value


def row(resource, item):
    meta = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}
    return {"cells": [cell(item, type_, source) for _, type_, _, source in columns_of(resource)], "object": meta}


def table(resource, items, metadata, with_head=True):
    return {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
            "columnDefinitions": head(resource) if with_head else None, "rows": [row(resource, item) for item in items]}
