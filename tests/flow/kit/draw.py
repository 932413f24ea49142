"""Draws node fleets, pod templates and changes to both from a seed: the material on which two controllers are compared.

All that is drawn is valid for the API server, so that whatever it refuses is a bug of ours.  Words are few, so that selectors, taints and tolerations meet
often."""

import random

ZONES, DISKS, GENERATIONS = ("a", "b", "c"), ("ssd", "hdd"), ("1", "2", "5", "07", "x")
TAINT_KEYS, TAINT_VALUES = ("dedicated", "gpu"), ("logs", "web", "")
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
STRATEGIES = (
    {"type": "OnDelete"},
    {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
    {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 2}},
    {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "40%"}},
    {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "100%"}},
    {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
    {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "50%"}},
)


class Draw:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.node_number = 0
        self.image_number = 0

    def chance(self, probability):
        return self.random.random() < probability

    def pick(self, words):
        return self.random.choice(words)

    # ---- nodes

    def node_name(self):
        self.node_number += 1
        return f"node-{self.node_number:02d}"

    def labels(self):
        labels = {"zone": self.pick(ZONES), "disk": self.pick(DISKS), "generation": self.pick(GENERATIONS)}
        return {key: value for key, value in labels.items() if self.chance(0.8)}

    def taint(self):
        return {"key": self.pick(TAINT_KEYS), "value": self.pick(TAINT_VALUES), "effect": self.pick(EFFECTS)}

    def taints(self):
        """At most one of each key and effect, as the API server demands."""
        drawn = {}
        while self.chance(0.3):
            taint = self.taint()
            drawn[taint["key"], taint["effect"]] = taint
        return list(drawn.values())

    # ---- templates

    def expression(self):
        kind = self.random.randrange(6)
        if kind < 2:
            key, words = self.pick((("zone", ZONES), ("disk", DISKS)))
            values = self.random.sample(words, self.random.randint(1, len(words) - 1))
            return {"key": key, "operator": ("In", "NotIn")[kind], "values": values}
        if kind < 4:
            return {"key": self.pick(("zone", "disk", "generation", "absent")), "operator": ("Exists", "DoesNotExist")[kind - 2]}
        return {"key": "generation", "operator": ("Gt", "Lt")[kind - 4], "values": [self.pick(("0", "1", "3", "6"))]}

    def term(self, node_names):
        term = {}
        if self.chance(0.85):
            term["matchExpressions"] = [self.expression() for _ in range(self.random.randint(1, 2))]
        if not term or self.chance(0.15):
            operator = self.pick(("In", "NotIn"))
            term["matchFields"] = [{"key": "metadata.name", "operator": operator, "values": [self.pick(node_names)]}]
        return term

    def affinity(self, node_names):
        node_affinity = {}
        if self.chance(0.7):
            terms = [self.term(node_names) for _ in range(self.random.randint(1, 3))]
            node_affinity["requiredDuringSchedulingIgnoredDuringExecution"] = {"nodeSelectorTerms": terms}
        if self.chance(0.3):
            preferred = {"weight": self.random.randint(1, 100), "preference": {"matchExpressions": [self.expression()]}}
            node_affinity["preferredDuringSchedulingIgnoredDuringExecution"] = [preferred]
        return {"nodeAffinity": node_affinity}

    def toleration(self):
        kind = self.random.randrange(5)
        if kind == 0:
            return {"operator": "Exists"}
        if kind == 1:
            return {"key": self.pick(TAINT_KEYS), "operator": "Exists"}
        if kind == 2:   # the same key as an automatic one, and identical or not
            return self.pick((
                {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 3600},
                {"key": "node.kubernetes.io/unschedulable", "operator": "Exists"},
                {"key": "node.kubernetes.io/disk-pressure", "operator": "Exists", "effect": "NoSchedule"}))
        toleration = {"key": self.pick(TAINT_KEYS), "operator": "Equal", "value": self.pick(TAINT_VALUES)}
        if kind == 4:
            toleration["effect"] = self.pick(EFFECTS)
        return toleration

    def image(self):
        self.image_number += 1
        return f"registry.invalid/collector:{self.image_number}"

    def template(self, node_names):
        container = {"name": "main", "image": self.image()}
        if self.chance(0.5):
            container["env"] = [{"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]
        spec = {"containers": [container], "terminationGracePeriodSeconds": self.pick((0, 1, 2))}
        if self.chance(0.3):
            spec["nodeSelector"] = {"disk": self.pick(DISKS)}
        if self.chance(0.6):
            spec["affinity"] = self.affinity(node_names)
        if self.chance(0.6):
            spec["tolerations"] = [self.toleration() for _ in range(self.random.randint(1, 3))]
        if self.chance(0.2):
            spec["hostNetwork"] = True
        elif self.chance(0.3):      # on the node's network, two pods of one port would not fit on one node
            container["ports"] = [{"containerPort": 9818}]
        if self.chance(0.3):
            spec["priorityClassName"] = "system-node-critical"
        if self.chance(0.3):
            spec["volumes"] = [{"name": "logs", "hostPath": {"path": "/var/log/pods"}}]
            container["volumeMounts"] = [{"name": "logs", "mountPath": "/var/log/pods", "readOnly": True}]
        metadata = {"annotations": {"team": self.pick(("logs", "web"))}} if self.chance(0.4) else {}
        return {"metadata": metadata, "spec": spec}

    def spec(self, node_names):
        """A DaemonSet's, without selector and labels, which the two must not share.  Without minReadySeconds: upstream's controller looks again too early, when
        times are in whole seconds, and then a rollout rests until something else happens (kubernetes/kubernetes#77203)."""
        return {"template": self.template(node_names), "updateStrategy": self.pick(STRATEGIES)}

    def change(self):
        """What happens next."""
        return self.random.choices(
            ("add node", "remove node", "relabel", "taint", "cordon", "template", "image", "strategy", "delete pod", "fail pod"),
            (2, 1, 3, 3, 1, 2, 3, 1, 2, 2))[0]
