"""Is this data fit to learn from: judges what `coverslip.data` found, before any training."""
