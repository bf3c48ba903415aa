"""The command line: one file a command, each a thin door to the functions of the package."""
