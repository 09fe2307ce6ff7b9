"""Identity, pairing, keys, and the files that hold them."""
