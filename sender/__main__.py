"""The command `sender`, also as `python -m sender`."""

import atexit
import gc
import signal


def main() -> None:
    """Runs it; Ctrl-C while it is still being imported ends it without a traceback."""
    usual = signal.signal(signal.SIGINT, signal.SIG_DFL)
    from sender.cli import main as command

    signal.signal(signal.SIGINT, usual)
    atexit.register(gc.freeze)  # at the end nothing is looked through for garbage, a seventh of a short command's time
    command()


if __name__ == "__main__":
    main()
