"""Processes and relations, one to a file, in plain PyTorch: `models` are composed of them, and so are models of users."""

from . import soil

__all__ = ["soil"]
