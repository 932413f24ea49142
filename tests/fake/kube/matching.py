"""Selectors over labels and fields, node affinity, taints and tolerations: pure functions over JSON."""

import re

REQUIREMENT = re.compile(r"\s*(?:(!?)\s*([\w./-]+)|([\w./-]+)\s*(==|=|!=|>|<)\s*([\w.-]*)|([\w./-]+)\s+(in|notin)\s*\(([^)]*)\))\s*(?:,|$)")


def label_selector(text):
    """The text form (a=b,c!=d,e in (f,g),!h) -> a function of labels; ValueError if it is none."""
    checks, place = [], 0
    while text and place < len(text):
        found = REQUIREMENT.match(text, place)
        if not found or found.end() == place:
            raise ValueError(f"unable to parse requirement: {text!r}")
        place = found.end()
        absent, bare, key, operator, value, set_key, set_operator, values = found.groups()
        if bare:
            checks.append((bare, "DoesNotExist" if absent else "Exists", []))
        elif key:
            checks.append((key, {"!=": "NotIn", ">": "Gt", "<": "Lt"}.get(operator, "In"), [value]))
        else:
            checks.append((set_key, {"in": "In", "notin": "NotIn"}[set_operator], [word.strip() for word in values.split(",")]))
    return lambda labels: all(holds(labels, *check) for check in checks)


def object_selector(selector):
    """The JSON form (matchLabels, matchExpressions) -> a function of labels."""
    checks = [(key, "In", [value]) for key, value in (selector.get("matchLabels") or {}).items()]
    checks += [(e["key"], e["operator"], e.get("values") or []) for e in selector.get("matchExpressions") or ()]
    return lambda labels: all(holds(labels, *check) for check in checks)


def holds(labels, key, operator, values):
    value = labels.get(key)
    if operator == "In":
        return value is not None and value in values
    if operator == "NotIn":
        return value is None or value not in values
    if operator == "Exists":
        return value is not None
    if operator == "DoesNotExist":
        return value is None
    try:
        return value is not None and (int(value) > int(values[0]) if operator == "Gt" else int(value) < int(values[0]))
    except ValueError:
        return False


def field_selector(text, fields):
    """metadata.name=x,spec.nodeName!=y -> a function of objects.  fields: the paths that this kind has; ValueError for any other."""
    checks = []
    for part in filter(None, (text or "").split(",")):
        path, operator, value = re.fullmatch(r"([\w.]+)(==|=|!=)(.*)", part).groups() if re.match(r"[\w.]+(==|=|!=)", part) else (part, "", "")
        if not operator or path not in fields:
            raise ValueError(f"field label not supported: {path}")
        checks.append((path.split("."), operator != "!=", value))
    return lambda item: all((_at(item, path) == value) == wanted for path, wanted, value in checks)


def _at(item, path):
    for step in path:
        item = (item or {}).get(step)
    return str(item).lower() if isinstance(item, bool) else str(item or "")


# ---- pods and nodes ---------------------------------------------------------------------------------


def fits(pod, node):
    """Would the scheduler's filters for node name, selector, affinity and taints let the pod run there?"""
    spec, labels = pod["spec"], node["metadata"].get("labels") or {}
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is not None and not any(_term_matches(term, node) for term in required.get("nodeSelectorTerms") or ()):
        return False
    return not any(taint["effect"] in ("NoSchedule", "NoExecute") and not tolerated(pod, taint) for taint in taints(node))


def _term_matches(term, node):
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    labels, name = node["metadata"].get("labels") or {}, {"metadata.name": node["metadata"]["name"]}
    return bool(expressions or fields) and all(
        holds(where, e["key"], e["operator"], e.get("values") or [])
        for where, checks in ((labels, expressions), (name, fields)) for e in checks)


def target(pod):
    """The node that a pod's affinity names, if it names just one: then nobody has to look at the others."""
    required = ((pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in required.get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            if field["key"] == "metadata.name" and field["operator"] == "In" and len(field["values"]) == 1:
                return field["values"][0]
    return None


def taints(node):
    return node["spec"].get("taints") or []


def toleration_of(pod, taint):
    """The toleration that tolerates the taint, or None."""
    for toleration in pod["spec"].get("tolerations") or ():
        if toleration.get("effect") and toleration["effect"] != taint["effect"]:
            continue
        if toleration.get("key") and toleration["key"] != taint["key"]:
            continue
        operator = toleration.get("operator") or "Equal"
        if operator == "Exists" or operator == "Equal" and (toleration.get("value") or "") == (taint.get("value") or ""):
            return toleration
    return None


def tolerated(pod, taint):
    return toleration_of(pod, taint) is not None
