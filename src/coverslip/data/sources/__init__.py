"""Where images come from: a folder of class folders, a table of paths, arrays in one file."""
