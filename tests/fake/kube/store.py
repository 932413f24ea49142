"""Objects, versions and history: what create, update and delete mean, for every kind alike.

One lock, one counter of versions for all kinds, as etcd.  An object is never changed once it is stored: whoever changes something builds a
new one, so that readers need no copy.  All that ever happened is kept: watches read on in it, stale lists are made by going back in it, and
`compact` only declares a part of it forgotten.
"""

import copy
import random
import threading
import time
import uuid
from bisect import bisect_right
from typing import NamedTuple

ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


class ApiError(Exception):
    """What a client gets as a Status object."""

    def __init__(self, code, reason, message, details=None, retry_after=None):
        super().__init__(message)
        self.code, self.reason, self.message, self.details, self.retry_after = code, reason, message, details, retry_after

    def status(self):
        details = dict(self.details or {})
        if self.retry_after is not None:
            details["retryAfterSeconds"] = self.retry_after
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message, "reason": self.reason,
                "details": details, "code": self.code}


def not_found(resource, name):
    return ApiError(404, "NotFound", f'{resource.title} "{name}" not found', {"name": name, "group": resource.group, "kind": resource.plural})


def conflict(resource, name, why="the object has been modified; please apply your changes to the latest version and try again"):
    return ApiError(409, "Conflict", f'Operation cannot be fulfilled on {resource.title} "{name}": {why}',
                    {"name": name, "group": resource.group, "kind": resource.plural})


def invalid(resource, name, *causes):
    """causes: (field, message)."""
    text = ", ".join(f"{field}: {message}" for field, message in causes)
    return ApiError(422, "Invalid", f'{resource.kind}{"." * bool(resource.group)}{resource.group} "{name}" is invalid: {text}',
                    {"name": name, "group": resource.group, "kind": resource.kind,
                     "causes": [{"reason": "FieldValueInvalid", "message": message, "field": field} for field, message in causes]})


def expired(asked, oldest):
    return ApiError(410, "Expired", f"too old resource version: {asked} ({oldest})")


def now(ahead=0):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + ahead))


def _drop_empty(meta):
    for field in ("finalizers", "labels", "annotations", "ownerReferences"):
        if not meta.get(field):
            meta.pop(field, None)


class Event(NamedTuple):
    version: int
    type: str       # ADDED, MODIFIED, DELETED
    storage: tuple  # Resource.key
    key: tuple      # (namespace, name)
    new: dict       # with DELETED: its last state, with the version of the deletion
    old: dict       # None with ADDED


class Store:
    def __init__(self, kinds, seed=1):
        self.kinds = kinds
        self.changed = threading.Condition(threading.RLock())  # everything here is read and written under it
        self.random = random.Random(seed)
        self.version = 1000
        self.objects = {}   # storage -> key -> object
        self.history = {}   # storage -> events, oldest first
        self.events = []    # of all kinds
        self.floor = {}     # storage -> the version up to which its history counts as forgotten
        self.owned = {}     # UID of an owner -> {(storage, key)}
        self.uids = {}      # UID -> (storage, key)

    # ---- reading -------------------------------------------------------------------------------------

    def get(self, resource, namespace, name):
        with self.changed:
            item = self.peek(resource.key, namespace, name)
            if item is None:
                raise not_found(resource, name)
            return item

    def peek(self, storage, namespace, name):
        return self.objects.get(storage, {}).get((namespace or "", name))

    def items(self, storage, namespace=None, version=None):
        """Objects by key, as they are or as they were at a version."""
        with self.changed:
            state = self.objects.get(storage, {})
            if version is not None:
                state = dict(state)
                for event in reversed(self.history.get(storage, ())):
                    if event.version <= version:
                        break
                    if event.old is None:
                        state.pop(event.key, None)
                    else:
                        state[event.key] = event.old
            return [state[key] for key in sorted(state) if namespace is None or key[0] == namespace]

    def since(self, storage, version):
        """Events after that version, and the version that this reaches to; ApiError 410 if they are forgotten."""
        with self.changed:
            if version < self.floor.get(storage, 0):
                raise expired(version, self.floor[storage])
            events = self.history.get(storage, [])
            return events[bisect_right(events, version, key=lambda event: event.version):], self.version

    def compact(self, storage=None):
        """Watches and pages from before now answer 410."""
        with self.changed:
            for each in [storage] if storage else [r.key for r in self.kinds.all.values()]:
                self.floor[each] = self.version
            self.changed.notify_all()

    # ---- writing -------------------------------------------------------------------------------------

    def create(self, resource, namespace, body, dry_run=False):
        """body is taken over."""
        with self.changed:
            meta = body.setdefault("metadata", {})
            name = self._name(resource, meta)
            if resource.namespaced:
                self._namespace_takes(resource, namespace, name)
                meta["namespace"] = namespace
            if self.peek(resource.key, namespace, name) is not None:
                raise ApiError(409, "AlreadyExists", f'{resource.title} "{name}" already exists',
                               {"name": name, "group": resource.group, "kind": resource.plural})
            for field in ("deletionTimestamp", "deletionGracePeriodSeconds", "resourceVersion", "selfLink", "managedFields"):
                meta.pop(field, None)
            meta.update(name=name, uid=str(uuid.UUID(int=self.random.getrandbits(128), version=4)), creationTimestamp=now())
            _drop_empty(meta)
            if resource.has_generation:
                meta["generation"] = 1
            if resource.has_status and not resource.keeps_status:
                body.pop("status", None)
            body.update(kind=resource.kind, apiVersion=resource.api_version)
            self.admit(resource, body, None)
            if dry_run:
                return dict(body, metadata=dict(meta, resourceVersion=""))
            return self._commit("ADDED", resource.key, (meta.get("namespace", ""), name), body, None)

    def update(self, resource, namespace, name, body, subresource=None, dry_run=False, is_patch=False):
        """body: the whole object as it is to be; resourceVersion, if any, has to be the present one."""
        with self.changed:
            old = self.get(resource, namespace, name)
            meta, held = body.get("metadata") or {}, old["metadata"]
            if meta.get("uid") and meta["uid"] != held["uid"] and is_patch:
                raise invalid(resource, name, ("metadata.uid", f'Invalid value: "{meta["uid"]}": field is immutable'))
            if meta.get("uid") and meta["uid"] != held["uid"]:
                raise conflict(resource, name, f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: {held['uid']}")
            if meta.get("resourceVersion") not in (None, "", held["resourceVersion"]):
                raise conflict(resource, name)
            if resource.needs_version and not meta.get("resourceVersion"):
                raise invalid(resource, name, ("metadata.resourceVersion", "Invalid value: 0x0: must be specified for an update"))
            if meta.get("name", name) != name:
                raise ApiError(400, "BadRequest", f"the name of the object ({meta['name']}) does not match the name on the URL ({name})")
            new = self._updated(resource, old, body, subresource)
            self.admit(resource, new, old)
            if new == old or dry_run:
                return old if new == old else new
            return self._write_or_remove(resource, old, new)

    def modify(self, resource, namespace, name, change, subresource=None, dry_run=False):
        """Reads, changes a copy by `change(copy)` (which may return another) and writes, under the lock: a patch."""
        with self.changed:
            body = copy.deepcopy(self.get(resource, namespace, name))
            body = change(body) or body
            return self.update(resource, namespace, name, body, subresource, dry_run, is_patch=True)

    def delete(self, resource, namespace, name, options=None, dry_run=False):
        """The object, now terminating; or None when it is gone."""
        options = options or {}
        with self.changed:
            old = self.get(resource, namespace, name)
            held = old["metadata"]
            for field, value in (options.get("preconditions") or {}).items():
                if value is not None and value != held[field]:
                    raise conflict(resource, name, f"Precondition failed: {field} in precondition: {value}, in object meta: {held[field]}")
            finalizers = list(held.get("finalizers") or ())
            wanted = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}.get(options.get("propagationPolicy"))
            if wanted and wanted not in finalizers:
                finalizers.append(wanted)
            grace = self._grace(resource, old, options)
            if dry_run:
                return old
            if not finalizers and grace == 0 and resource.plural != "namespaces":
                self._remove(resource, old)
                return None
            if held.get("deletionTimestamp") and finalizers == (held.get("finalizers") or []) and \
                    grace >= held.get("deletionGracePeriodSeconds", 0):
                return old
            meta = dict(held, deletionTimestamp=held.get("deletionTimestamp") or now(grace), deletionGracePeriodSeconds=grace)
            if finalizers:
                meta["finalizers"] = finalizers
            if resource.has_generation and not held.get("deletionTimestamp"):
                meta["generation"] = held["generation"] + 1
            new = dict(old, metadata=meta)
            if resource.plural == "namespaces":
                new["status"] = {"phase": "Terminating"}
            return self._commit("MODIFIED", resource.key, (held.get("namespace", ""), name), new, old)

    def replace(self, resource, namespace, name, change):
        """For the players, who write as no client can: `change(object)` gives the new one, or None to leave it.  Nothing if it is not there."""
        with self.changed:
            old = self.peek(resource.key, namespace, name)
            new = change(old) if old is not None else None
            if new is not None and new != old:
                self._write_or_remove(resource, old, new)

    # ---- how -----------------------------------------------------------------------------------------

    def admit(self, resource, new, old):
        """Defaults and refusals of a kind; the server hangs its admission here."""

    def _name(self, resource, meta):
        name = meta.get("name")
        if not name and meta.get("generateName"):
            name = meta["generateName"] + "".join(self.random.choices(ALPHABET, k=5))
        if not name:
            raise invalid(resource, "", ("metadata.name", "Required value: name or generateName is required"))
        if len(name) > 253 or "/" in name or resource.plural == "pods" and name != name.lower():
            raise invalid(resource, name, ("metadata.name", f'Invalid value: "{name}": a lowercase RFC 1123 subdomain'))
        return name

    def _namespace_takes(self, resource, namespace, name):
        home = self.peek(("", "namespaces"), "", namespace)
        if home is None:
            raise ApiError(404, "NotFound", f'namespaces "{namespace}" not found', {"name": namespace, "kind": "namespaces"})
        if home["metadata"].get("deletionTimestamp"):
            raise ApiError(403, "Forbidden", f'{resource.title} "{name}" is forbidden: unable to create new content in namespace {namespace} '
                           "because it is being terminated",
                           {"name": name, "kind": resource.plural, "causes": [
                               {"reason": "NamespaceTerminating", "message": f"namespace {namespace} is being terminated", "field": "metadata.namespace"}]})

    @staticmethod
    def _updated(resource, old, body, subresource):
        held = old["metadata"]
        if subresource == "status":
            return {**old, "status": body.get("status") or {}}
        kept = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "resourceVersion", "namespace",
                "generateName")
        meta = {**{key: value for key, value in (body.get("metadata") or {}).items() if key not in (*kept, "managedFields")},
                **{key: held[key] for key in kept if key in held}, "name": held["name"]}
        _drop_empty(meta)
        new = {**body, "kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta}
        if resource.has_status:
            new.pop("status", None)
            if "status" in old:
                new["status"] = old["status"]
        if resource.has_generation and any(new.get(key) != old.get(key) for key in {*new, *old} - {"metadata", "status"}):
            meta["generation"] = held.get("generation", 0) + 1
        return new

    def _write_or_remove(self, resource, old, new):
        meta = new["metadata"]
        if meta.get("deletionTimestamp") and not meta.get("finalizers") and not meta.get("deletionGracePeriodSeconds") and \
                resource.plural != "namespaces":
            return self._remove(resource, old, new)
        return self._commit("MODIFIED", resource.key, (meta.get("namespace", ""), meta["name"]), new, old)

    @staticmethod
    def _grace(resource, old, options):
        """Seconds; only pods that run somewhere are given any."""
        if resource.plural != "pods":
            return 0
        if not old["spec"].get("nodeName") or (old.get("status") or {}).get("phase") in ("Failed", "Succeeded"):
            return 0
        asked = options.get("gracePeriodSeconds")
        grace = old["spec"].get("terminationGracePeriodSeconds", 30) if asked is None else asked
        return min(grace, old["metadata"].get("deletionGracePeriodSeconds", grace))

    def remove(self, resource, namespace, name):
        """At once, whatever stands in the way: for namespaces that have become empty."""
        with self.changed:
            return self._remove(resource, self.get(resource, namespace, name))

    def _remove(self, resource, old, last=None):
        meta = old["metadata"]
        return self._commit("DELETED", resource.key, (meta.get("namespace", ""), meta["name"]), dict(last or old), old)

    def _commit(self, type_, storage, key, new, old):
        self.version += 1
        new = dict(new, metadata=dict(new["metadata"], resourceVersion=str(self.version)))
        event = Event(self.version, type_, storage, key, new, old)
        self._index(storage, key, old, None if type_ == "DELETED" else new)
        self.history.setdefault(storage, []).append(event)
        self.events.append(event)
        self.changed.notify_all()
        return new

    def _index(self, storage, key, old, new):
        place = (storage, key)
        for reference in (old or {"metadata": {}})["metadata"].get("ownerReferences") or ():
            self.owned.get(reference["uid"], set()).discard(place)
        if new is None:
            del self.objects[storage][key]
            del self.uids[old["metadata"]["uid"]]
            return
        self.objects.setdefault(storage, {})[key] = new
        self.uids[new["metadata"]["uid"]] = place
        for reference in new["metadata"].get("ownerReferences") or ():
            self.owned.setdefault(reference["uid"], set()).add(place)
