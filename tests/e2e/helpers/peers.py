"""Two enclaves with equal PCRs and equal configurations, each on a software NSM of its own."""

import shutil

from .server import Server
from .session import attestd
from .simulator import Simulator

SETTINGS = {"listen": "127.0.0.1:0", "peer_listen": "127.0.0.1:0", "peer_tls_listen": "127.0.0.1:0", "nsm": "socket:socket",
            "peer_root": "peer.pem"}


class Enclave:
    """A simulator, and in its directory what a process of that enclave finds by the same relative names: `socket`, and
    `peer.pem`, the root of the other one's documents."""

    def __init__(self, directory, *args):
        self.directory = directory
        self.simulator = Simulator(directory / "simulator", *args)
        self.simulator.start()
        self.cwd = self.simulator.short
        self.server = None

    def trust(self, other):
        shutil.copy(other.simulator.root, self.cwd / "peer.pem")
        return self

    def serve(self, **settings):
        """Starts attestd serve in it."""
        settings = {**SETTINGS, **settings}
        nsm, listen = settings.pop("nsm"), settings.pop("listen")
        self.server = Server(self.directory / "server", nsm=nsm, listen=listen, settings=settings, cwd=self.cwd).start()
        return self

    @property
    def url(self):
        return self.server.listener("peer_listen")

    @property
    def tls(self):
        return self.server.listener("peer_tls_listen")

    def meet(self, other, *words, url=None, tls=None, settings=None, **how):
        """`attestd peer` in it, to the server of another enclave; to be judged by the caller."""
        sets = [f"--set={k}={v}" for k, v in {**SETTINGS, **(settings or {})}.items()]
        return attestd("peer", "--url", url or other.url, "--tls", tls or other.tls, *sets, *words, cwd=self.cwd, **how)

    def stop(self):
        try:
            if self.server is not None:
                self.server.stop()
        finally:
            self.simulator.stop()
            self.simulator.remove()
