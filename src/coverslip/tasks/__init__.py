"""Tasks: the meaning of a network's outputs."""
