"""`python -m sender` is the command `sender`."""

from sender.cli import main

main()
