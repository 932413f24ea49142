"""JSON patch (RFC 6902), merge patch (RFC 7386) and what is needed of the strategic one: pure functions, which never change their arguments."""

import copy

MERGE_KEYS = {"ownerReferences": "uid", "conditions": "type", "containers": "name", "initContainers": "name", "env": "name", "volumes": "name",
              "volumeMounts": "mountPath", "ports": "containerPort", "addresses": "type"}


def merge(old, patch):
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def strategic(old, patch):
    """Lists of MERGE_KEYS merge by their key and know `$patch: delete`, finalizers merge as a set; all other lists are replaced."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    if patch.get("$patch") == "replace":
        return {key: copy.deepcopy(value) for key, value in patch.items() if key != "$patch"}
    result = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            name = key.split("/", 1)[1]
            result[name] = [item for item in result.get(name) or () if item not in value]
        elif key.startswith("$"):
            continue
        elif value is None:
            result.pop(key, None)
        elif key in MERGE_KEYS and isinstance(value, list):
            result[key] = _merge_list(result.get(key) or [], value, MERGE_KEYS[key])
        elif key == "finalizers":
            result[key] = [*(result.get(key) or ()), *(item for item in value if item not in (result.get(key) or ()))]
        else:
            result[key] = strategic(result.get(key), value)
    return result


def _merge_list(old, patch, key):
    result = list(old)
    if any(item.get("$patch") == "replace" for item in patch):
        return [copy.deepcopy(item) for item in patch if "$patch" not in item]
    for item in patch:
        found = next((i for i, other in enumerate(result) if other.get(key) == item.get(key)), None)
        if item.get("$patch") == "delete":
            result = [other for other in result if other.get(key) != item.get(key)]
        elif found is None:
            result.append(strategic({}, item))
        else:
            result[found] = strategic(result[found], item)
    return result


def json_patch(old, operations):
    """ValueError, with a sentence, if an operation cannot be done or a test fails."""
    result = copy.deepcopy(old)
    for operation in operations:
        name, path = operation["op"], _steps(operation["path"])
        if name in ("move", "copy"):
            value = copy.deepcopy(_get(result, _steps(operation["from"])))
            if name == "move":
                _remove(result, _steps(operation["from"]))
            _add(result, path, value)
        elif name == "add":
            _add(result, path, copy.deepcopy(operation["value"]))
        elif name == "remove":
            _remove(result, path)
        elif name == "replace":
            _get(result, path)
            _remove(result, path)
            _add(result, path, copy.deepcopy(operation["value"]))
        elif name == "test":
            if _get(result, path) != operation.get("value"):
                raise ValueError(f"testing path {operation['path']} value failed")
        else:
            raise ValueError(f"unknown operation {name!r}")
    return result


def _steps(pointer):
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def _get(item, path):
    try:
        for step in path:
            item = item[int(step)] if isinstance(item, list) else item[step]
        return item
    except (KeyError, IndexError, ValueError, TypeError):
        raise ValueError(f"path {'/'.join(path)} does not exist") from None


def _add(item, path, value):
    parent, last = _get(item, path[:-1]), path[-1]
    if isinstance(parent, list):
        parent.insert(len(parent) if last == "-" else int(last), value)
    elif isinstance(parent, dict):
        parent[last] = value
    else:
        raise ValueError(f"path {'/'.join(path)} does not exist")


def _remove(item, path):
    _get(item, path)
    parent, last = _get(item, path[:-1]), path[-1]
    del parent[int(last) if isinstance(parent, list) else last]
