"""Images: sources, decoding, cache, groups, splits and augmentation."""
