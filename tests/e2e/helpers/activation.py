"""Sockets as the service manager passes them."""

import sys

LAUNCHER = """
import os, socket, sys
names, sockets, argv = [], [], sys.argv[1:]
while argv[0] != "--":
    name, _, address = argv.pop(0).partition("=")
    if address.startswith("/"):
        s = socket.socket(socket.AF_UNIX); s.bind(address)
        os.chmod(address, int(os.environ.get("SOCKET_MODE", "660"), 8))
    else:
        host, port = address.rsplit(":", 1)
        s = socket.socket(socket.AF_INET); s.bind((host, int(port)))
    s.listen()
    names.append(name); sockets.append(s)
high = [os.dup2(s.fileno(), 100 + i) for i, s in enumerate(sockets)]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i, inheritable=True)
    os.close(fd)
os.environ.update(LISTEN_PID=str(os.getpid() + int(os.environ.pop("PID_OFF", "0"))), LISTEN_FDS=str(len(names)),
                  LISTEN_FDNAMES=":".join(names))
os.execvp(argv[1], argv[1:])
"""


def launched(sockets, command):
    """The command that opens the sockets, each `name=/path` or `name=host:port`, and becomes `command`."""
    return [sys.executable, "-c", LAUNCHER, *sockets, "--", *command]
