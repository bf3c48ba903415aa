"""Ordered classes: each image belongs to one of several levels, such as grades of severity."""

from coverslip.tasks.ordinal.task import Ordinal

__all__ = ["Ordinal"]
