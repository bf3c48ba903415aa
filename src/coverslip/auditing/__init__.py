"""Audit of image data before training: files, labels, duplicates, groups, splits and shortcuts."""
