"""The model as a service: a page anyone can use, and the same answers over HTTP."""
