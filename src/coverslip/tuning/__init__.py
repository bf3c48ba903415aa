"""Many trainings, compared: spaces of settings, sweeps, search, and how far a winner can be believed."""
