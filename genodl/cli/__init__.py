"""The shell: parse, load, call one function, write."""

from genodl.cli.app import main

__all__ = ["main"]
