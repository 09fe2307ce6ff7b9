"""The player's worker processes, and the messages between them."""
