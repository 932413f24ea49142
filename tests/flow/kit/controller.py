"""drave-controller under test: as the collector, with its own configuration."""

import os

from kit.collector import Collector, configuration

PROGRAM = os.environ.get("DRAVE_CONTROLLER", "")


class Controller(Collector):
    """rows: of [controller]; listen and a lease of short life are given unless they say otherwise."""
    program = PROGRAM
    # Expiry after 3 s: short enough for a test of taking over, long enough for a busy machine.
    DEFAULTS = {"listen": "127.0.0.1:0", "lease_duration": "3s", "renew_deadline": "2s", "retry_period": "500ms"}

    def configure(self, rows):
        if isinstance(rows, dict):
            rows = configuration({"controller": {**self.DEFAULTS, **rows}})
        with open(f"{self.config}.new", "w") as file:
            file.write(rows)
        os.rename(f"{self.config}.new", self.config)

    @property
    def state(self):
        """syncing, standby, leading, stopping; None while nobody answers."""
        code, text = self.get("/status")
        return self.status().get("state") if code == 200 else None

    def is_leading(self):
        return self.state == "leading"
