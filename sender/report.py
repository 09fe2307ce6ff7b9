"""The sender's part of the report (docs/report.md)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from thinair.link.errors import FileError

if TYPE_CHECKING:
    from thinair.sender.pipeline.base import Pipeline
    from thinair.sender.service import Service


def write_report(path: Path, service: Service, pipeline: Pipeline) -> None:
    counts, mode, source = pipeline.counts, service.mode, service.source
    content = {
        "schema": "thinair.report/1",
        "role": "send",
        "sealed": service.sealed,
        "source": service.config.source,
        "source_state": {
            "state": None if source is None else source.code.name.lower(),
            "detail": "" if source is None else source.detail,
            "changes": service.changes,
            "events": list(service.events),
        },
        "encoder": pipeline.describe(),
        "mode": None if mode is None else {"width": mode.width, "height": mode.height, "rate": str(mode.rate)},
        "pace_us": service.pace_us,
        "frames": {"captured": counts.captured, "encoded": counts.encoded, "sent": counts.sent},
        "skipped": counts.skipped,
        "refused": counts.refused,
        "send": service.tx.stats(),
        "control": service.control | service.refused,
        "notes": service.notes,
    }
    import json

    try:
        path.write_text(json.dumps(content, indent=1) + "\n")
    except OSError as error:
        raise FileError(f"cannot write {path}: {error.strerror}") from error
