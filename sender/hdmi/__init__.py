"""The HDMI port: its driver and its states."""
