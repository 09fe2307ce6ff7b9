"""The sender's part of the report (docs/report.md)."""

from __future__ import annotations

from pathlib import Path

from thinair.link.files import writing
from thinair.sender.status import SenderStatus


def write_report(path: Path, status: SenderStatus) -> None:
    """Raises FileError."""
    counts, mode, source = status.counts, status.mode, status.source
    content = {
        "schema": "thinair.report/1",
        "role": "send",
        "encrypted": status.encrypted,
        "source": status.config.source,
        "source_state": {
            "state": None if source is None else source.code.name.lower(),
            "detail": "" if source is None else source.detail,
            "changes": status.changes,
            "events": status.events,
        },
        "encoder": status.encoder,
        "mode": None if mode is None else {"width": mode.width, "height": mode.height, "rate": str(mode.rate)},
        "pace_us": status.pace_us,
        "frames": {"captured": counts.captured, "encoded": counts.encoded, "sent": counts.sent},
        "skipped": counts.skipped,
        "refused": counts.refused,
        "send": status.packets,
        "control": status.control,
        "notes": status.notes,
    }
    import json  # a Pi starts without reports

    with writing(path):
        path.write_text(json.dumps(content, indent=1) + "\n")
