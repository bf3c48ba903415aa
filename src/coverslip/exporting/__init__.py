"""A trained model as one file that needs nothing of this program: preparation, network and judgment in one graph."""
