"""Who may do what, by the roles and bindings that are stored.  Only service accounts are held to it."""

RBAC = "rbac.authorization.k8s.io"


class Rbac:
    def __init__(self, store):
        self.store = store

    def allows(self, user, verb, resource, subresource, namespace, name):
        """user: system:serviceaccount:NAMESPACE:NAME."""
        wanted = f"{resource.plural}/{subresource}" if subresource else resource.plural
        return any(self._rule_allows(rule, verb, resource.group, wanted, name) for rule in self._rules(user, namespace))

    @staticmethod
    def _rule_allows(rule, verb, group, wanted, name):
        def has(field, value):
            return value in (rule.get(field) or ()) or "*" in (rule.get(field) or ())
        return has("verbs", verb) and has("apiGroups", group) and has("resources", wanted) and \
            (not rule.get("resourceNames") or name in rule["resourceNames"])

    def _rules(self, user, namespace):
        _, _, home, account = user.split(":")
        bindings = [(binding, "") for binding in self.store.items((RBAC, "clusterrolebindings"))]
        if namespace:
            bindings += [(binding, namespace) for binding in self.store.items((RBAC, "rolebindings"), namespace)]
        for binding, place in bindings:
            if any(self._is(subject, home, account) for subject in binding.get("subjects") or ()):
                reference = binding["roleRef"]
                storage, inside = ((RBAC, "clusterroles"), "") if reference["kind"] == "ClusterRole" else ((RBAC, "roles"), place)
                yield from (self.store.peek(storage, inside, reference["name"]) or {}).get("rules") or ()

    @staticmethod
    def _is(subject, home, account):
        if subject["kind"] == "ServiceAccount":
            return (subject.get("namespace"), subject["name"]) == (home, account)
        return subject["kind"] == "Group" and subject["name"] in ("system:authenticated", "system:serviceaccounts", f"system:serviceaccounts:{home}")
