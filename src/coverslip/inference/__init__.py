"""Inference: engines for the frozen layers, the feature cache, and the predictor."""
