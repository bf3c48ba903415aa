"""`explain` from a run's folder and pictures to figures, numbers and words: the recipe that joins the heat maps."""
