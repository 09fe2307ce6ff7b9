"""The protocol, sans-IO: messages, sessions, clock, congestion control. No module here reads a clock or opens
anything."""
