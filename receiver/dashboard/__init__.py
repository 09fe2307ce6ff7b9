"""The dashboard, a process of its own: a page with the picture and all figures, for browsers."""
