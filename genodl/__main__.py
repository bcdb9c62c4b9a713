"""`python -m genodl`."""

from genodl.cli import main

main()
