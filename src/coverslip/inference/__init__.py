"""Running networks: the frozen pass on the fastest engine, features computed once, and the predictor."""
