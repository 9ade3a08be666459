"""Run a program for each connection to a loopback port: PORT PROGRAM ARGUMENT..."""

from __future__ import annotations

import socketserver
import subprocess
import sys


class Server(socketserver.ThreadingTCPServer):
    """A server whose port was reserved for it."""

    allow_reuse_address = True


class Connection(socketserver.BaseRequestHandler):
    """One connection, as the program's input and output."""

    def handle(self) -> None:
        """Run the program to its end."""
        subprocess.run(sys.argv[2:], stdin=self.request, stdout=self.request, check=False)


Server(("127.0.0.1", int(sys.argv[1])), Connection).serve_forever()
