"""Engines solve what a model declares. They see cells, faces and local functions, never a process."""
