"""The base that every other package builds on: errors, settings, files, progress and devices."""
