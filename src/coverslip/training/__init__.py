"""Fitting: many heads in one pass, on features that were computed once."""
