"""Networks as named stages, their pretrained weights, and the stage from which they are trained."""
