"""The sender as a systemd service."""
