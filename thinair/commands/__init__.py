"""Commands that belong to neither end alone."""
