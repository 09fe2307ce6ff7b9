"""The board under the sender: LED, telemetry, doctor."""
