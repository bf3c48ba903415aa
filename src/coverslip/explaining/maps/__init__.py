"""Heat maps, visualization of learned features, and sanity checks; independent of runs and files."""
