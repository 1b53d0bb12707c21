"""The line under a POST: it is opened, watched and cut; and it knows how far the POST came.

In: a host and a port. Out: a connected socket, and what is known of the POST when no whole answer came. Whoever holds
the wire may cut it from another thread. Knows nothing of HTTP.
"""

import socket
import ssl
import time
from contextlib import suppress

CONNECT_SECONDS = 3.0
"""How long each address of the endpoint may take to accept the connection."""


class Wire:
    """The connection of one POST, from before it opens.

    `ready` says whether a byte of the request may have left, `status` is that of the answer once its first line came.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._began = time.perf_counter()
        self._cut: str | None = None
        self._line: socket.socket | None = None
        self.ready = False
        self.status: int | None = None

    def left(self) -> float:
        """The seconds until it has to be cut."""
        return self._began + self._seconds - time.perf_counter()

    def milliseconds(self) -> float:
        """How long it has taken so far."""
        return round((time.perf_counter() - self._began) * 1000, 3)

    def open(self, host: str, port: int) -> socket.socket:
        """A line to the first of the host's addresses that accepts it.

        Raises:
            OSError: none does, or the wire was cut meanwhile.
        """
        failure = OSError("the name has no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            line = socket.socket(family, kind, protocol)
            try:
                self._watch(line)
                line.settimeout(max(0.001, min(CONNECT_SECONDS, self.left())))
                line.connect(address)
                line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                line.settimeout(self._seconds)
            except OSError as error:
                line.close()
                failure = error
            except BaseException:  # Ctrl-C
                line.close()
                raise
            else:
                return line
        raise failure

    @property
    def overdue(self) -> str:
        """Why it is cut when its time is over."""
        return f"no answer within {self._seconds:g} s"

    def cut(self, reason: str) -> None:
        """Ends whatever waits for the other side, now or later; `reason` is told, the first one's."""
        self._cut = self._cut or reason
        if self._line is not None:
            with suppress(OSError):
                self._line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Lets go of the line."""
        if self._line is not None:
            self._line.close()

    def reason(self, error: BaseException) -> str:
        """Why there was no answer, in a few words."""
        if self._cut:
            return self._cut
        if isinstance(error, TimeoutError) and self.left() <= 0:
            return self.overdue  # the socket noticed before whoever watches
        if isinstance(error, KeyboardInterrupt):
            return "stopped by Ctrl-C"
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {error.verify_message}"
        return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()

    def _watch(self, line: socket.socket) -> None:
        """Takes note of the line; a duplicate, since TLS takes the first one over, and either shuts down both."""
        self.close()
        self._line = line.dup()
        if self._cut:
            raise TimeoutError(self._cut)
