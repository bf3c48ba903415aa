"""Images in: found, decoded once, kept in groups, split."""
