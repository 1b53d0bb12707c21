"""The command `receiver`, also as `python -m receiver`."""

import signal


def main() -> None:
    """Runs it; Ctrl-C while it is still being imported ends it without a traceback."""
    usual = signal.signal(signal.SIGINT, signal.SIG_DFL)
    from receiver.cli import main as command

    signal.signal(signal.SIGINT, usual)
    command()


if __name__ == "__main__":
    main()
