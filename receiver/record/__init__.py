"""The recorder, a process of its own: access units as they came, into a file that a crash cannot spoil."""
