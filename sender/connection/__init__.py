"""How a receiver finds the sender, pairs and connects."""
