"""Opens the pipeline that a configuration asks for."""

from __future__ import annotations

from thinair.link.native import Tx
from thinair.sender.config import SenderConfig
from thinair.sender.pipeline.base import Hooks, Pipeline


def open_pipeline(config: SenderConfig, tx: Tx, hooks: Hooks) -> Pipeline:
    """An opened pipeline. Raises DeviceError, ConfigError, FileError."""
    pipeline: Pipeline | None = None
    if config.source.partition(":")[0] == "hdmi":
        from thinair.sender.pipeline.hardware import open_hardware

        pipeline = open_hardware(config, tx, hooks)
    if pipeline is None:
        from thinair.sender.pipeline.software import SoftwarePipeline

        pipeline = SoftwarePipeline(config, tx, hooks)
    try:
        pipeline.open()
    except BaseException:
        pipeline.close()
        raise
    return pipeline
