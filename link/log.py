"""Log lines on standard error: text for people, or one JSON object per line for programs."""

import sys
import time
from typing import Any


class Log:
    """`form`: text or json. A text line names its command, so that the demo's lines say which end speaks. A JSON line
    has `time` (UTC, RFC 3339), `command`, `kind`, `text` and the fields of its kind."""

    def __init__(self, form: str, command: str) -> None:
        self.machine = form == "json"
        self._command = command

    def write(self, text: str, kind: str = "note", **more: Any) -> None:
        line = f"thinair {self._command}: {text}"
        if self.machine:
            import json  # a Pi that logs text starts without it

            now = time.time()
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03}Z"
            line = json.dumps({"time": stamp, "command": self._command, "kind": kind, "text": text, **more})
        print(line, file=sys.stderr, flush=True)
