"""Events have two faces, v1 and events.k8s.io/v1, over one storage, which has the former's form."""

from kube.store import invalid

RENAMED = {"involvedObject": "regarding", "message": "note", "reportingComponent": "reportingController", "firstTimestamp": "deprecatedFirstTimestamp",
           "lastTimestamp": "deprecatedLastTimestamp", "count": "deprecatedCount", "source": "deprecatedSource"}
LIMITS = {"reportingController": 128, "reportingInstance": 128, "action": 128, "reason": 128, "note": 1024}


def shown(resource, item):
    """An event of the storage as that face has it; anything else as it is."""
    if resource.plural != "events":
        return item
    if not resource.group:
        return {**item, "apiVersion": resource.api_version}
    return {**{RENAMED.get(key, key): value for key, value in item.items()}, "apiVersion": resource.api_version}


def stored(resource, item):
    """The way back."""
    if resource.plural != "events" or not resource.group:
        return item
    back = {new: old for old, new in RENAMED.items()}
    return {back.get(key, key): value for key, value in item.items()}


def check(resource, item, old=None):
    """What events.k8s.io demands of a new event, and what of an old one may change."""
    if resource.plural != "events" or not resource.group:
        return
    name = (item.get("metadata") or {}).get("name", "")
    if old is not None:
        changed = [key for key in {*item, *old} - {"series", "metadata"} if item.get(key) != old.get(key)]
        if changed:
            raise invalid(resource, name, (changed[0], "Invalid value: field is immutable"))
        return
    for field in ("eventTime", "reportingController", "reportingInstance", "action", "reason", "type"):
        if not item.get(field):
            raise invalid(resource, name, (field, "Required value"))
    for field, limit in LIMITS.items():
        if len(item.get(field) or "") > limit:
            raise invalid(resource, name, (field, f"Invalid value: can have at most {limit} characters"))
    if item["type"] not in ("Normal", "Warning"):
        raise invalid(resource, name, ("type", f'Invalid value: "{item["type"]}"'))
    regarding = item.get("regarding") or {}
    if (regarding.get("namespace") or "default") != (item.get("metadata") or {}).get("namespace"):
        raise invalid(resource, name, ("regarding.namespace", "Invalid value: does not match event.namespace"))
