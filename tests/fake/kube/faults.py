"""Rules by which requests fail, and the log of all requests.

A rule is a dictionary.  What it matches (all that are given; texts are regular expressions):
    verb     get, list, watch, create, update, patch, delete, deletecollection
    path     anywhere in path and query
    agent, user
    nth      of the matching requests: 3, "3+", "2-5"; unless given, all
    times    so often at most
    chance   0 to 1, drawn from the server's seed
What it does (the first that strikes decides):
    delay    seconds, before anything else; alone it does nothing more
    status   this answer, with reason, message, retry_after (seconds); the request is not done, unless after is true
    close    "before" or "after" doing it: the connection closes without an answer
    freeze   no answer until the rule is taken away
    truncate the answer (of a watch: the stream) ends after so many bytes, and with it the connection
    garbage  the answer is this text instead, with 200; a watch sends it as a line
    stale    a list shows the state of so many versions ago
    keep     a list shows only so many of its objects, and calls itself complete
    expire   410: an answer, or an ERROR event
    token    401 for all but this bearer token
"""

import itertools
import random
import re
import threading
import time

MATCHERS = {"verb": re.fullmatch, "path": re.search, "agent": re.search, "user": re.fullmatch}
ACTIONS = ("delay", "status", "close", "freeze", "truncate", "garbage", "stale", "keep", "expire", "token")
SETTINGS = ("reason", "message", "retry_after", "after", "nth", "times", "chance")


class Rule:
    def __init__(self, number, words):
        unknown = set(words) - set(MATCHERS) - set(ACTIONS) - set(SETTINGS)
        if unknown or not set(words) & set(ACTIONS):
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}" if unknown else "a rule has to do something")
        self.number, self.words, self.seen, self.struck = number, words, 0, 0
        self.is_gone = threading.Event()
        first, last = re.fullmatch(r"(\d+)(\+|-\d+)?", str(words.get("nth", "1+"))).groups()
        self.first = int(first)
        self.last = float("inf") if last == "+" else int(last[1:]) if last else self.first

    def matches(self, request):
        return all(match(self.words[field], request[field] or "") for field, match in MATCHERS.items() if field in self.words)

    def strikes(self, draw):
        self.seen += 1
        if not self.first <= self.seen <= self.last or self.struck >= self.words.get("times", float("inf")):
            return False
        if draw() >= self.words.get("chance", 1):
            return False
        self.struck += 1
        return True

    def shown(self):
        return {"id": self.number, **self.words, "seen": self.seen, "struck": self.struck}


class Faults:
    def __init__(self, seed=1):
        self.lock = threading.Lock()
        self.random = random.Random(seed)
        self.rules = {}
        self.numbers = itertools.count(1)

    def add(self, words):
        with self.lock:
            rule = Rule(next(self.numbers), words)
            self.rules[rule.number] = rule
            return rule.number

    def remove(self, number=None):
        """One, or all."""
        with self.lock:
            for each in [number] if number is not None else list(self.rules):
                self.rules.pop(each).is_gone.set()

    def shown(self):
        with self.lock:
            return [rule.shown() for rule in self.rules.values()]

    def find(self, request):
        """The rule that strikes this request, or None."""
        with self.lock:
            return next((rule for rule in self.rules.values() if rule.matches(request) and rule.strikes(self.random.random)), None)


class Log:
    """Every request: n (from 1), time, verb, method, path (with query), agent, user, code (0: no answer), seconds, rule, bytes."""

    def __init__(self):
        self.lock = threading.Lock()
        self.rows = []

    def begin(self, **row):
        with self.lock:
            row = {"n": len(self.rows) + 1, "time": time.time(), "code": None, "seconds": None, "rule": None, "bytes": 0, **row}
            self.rows.append(row)
            return row

    def find(self, since=0, **wanted):
        """Rows after number `since`; wanted: as a rule's verb, path, agent, user."""
        with self.lock:
            return [dict(row) for row in self.rows[since:] if all(MATCHERS[field](text, row[field] or "") for field, text in wanted.items())]
