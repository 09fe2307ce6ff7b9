"""What a command says on standard error while it runs: lines for people, or one JSON object a line for machines."""

import sys
import time
from typing import Any


class Log:
    """`form`: text or json. A JSON line has `time` (UTC, RFC 3339), `command`, `kind`, `text`, and what else belongs to
    its kind."""

    def __init__(self, form: str, command: str) -> None:
        self.machine = form == "json"
        self._command = command

    def say(self, text: str, kind: str = "note", **more: Any) -> None:
        line = f"thinair: {text}"
        if self.machine:
            import json  # a Pi that writes for people starts without it

            now = time.time()
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03}Z"
            line = json.dumps({"time": stamp, "command": self._command, "kind": kind, "text": text, **more})
        print(line, file=sys.stderr, flush=True)
