"""`explain` from a run's folder and images to figures, numbers and words: the recipe that joins the heat maps."""
