"""Commands of the receiver that are not `play`."""
