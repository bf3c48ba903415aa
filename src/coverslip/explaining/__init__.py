"""Explanation of trained models: heat maps of images, learned features, and review of the test set."""
