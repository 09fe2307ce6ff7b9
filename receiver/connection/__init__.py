"""How the receiver finds a sender and keeps its session."""
