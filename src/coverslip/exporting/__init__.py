"""Export a trained model as one self-contained file: preprocessing, network and post-processing in one graph."""
