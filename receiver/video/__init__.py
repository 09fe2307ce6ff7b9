"""From access unit to pixels on a screen."""
