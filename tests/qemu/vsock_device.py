"""The virtio vsock of a machine. The host's ends of its connections are Unix sockets.

Half-closed connections stay so, and a guest that does not read holds the sender back. A reset is told to the guest when a
Unix socket is closed with bytes in it that nobody read; a Unix socket cannot be told, and is closed.
"""

import queue
import select
import socket
import struct
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

import vhost_user

HOST, PARENT = 2, 3
REQUEST, RESPONSE, RST, SHUTDOWN, RW, CREDIT_UPDATE, CREDIT_REQUEST = range(1, 8)
STREAM = 1
NO_MORE_TO_RECEIVE, NO_MORE_TO_SEND = 1, 2
BOTH = NO_MORE_TO_RECEIVE | NO_MORE_TO_SEND
RX, TX = 0, 1
HEAD = struct.Struct("<QQIIIHHIII")
WINDOW = 256 * 1024
FIRST_PORT = 1 << 30


@dataclass(eq=False)
class Stream:
    """A connection. Numbers of bytes are modulo 2^32, as on the wire."""

    cid: int  # of the host's end
    port: int
    guest_port: int
    socket: socket.socket
    answer: object = None  # answer(whether somebody listens) to the host's own dial, while that waits
    unsent: bytes = b""  # what the guest sent and the socket did not take yet
    taken: int = 0  # bytes of the guest that the socket took
    told: int = 0  # as much of it as the guest was told of
    sent: int = 0  # bytes to the guest
    room: int = 0  # as it said it has
    read: int = 0  # by the guest, as it said
    shut_by_guest: int = 0
    shut_by_host: int = 0

    @property
    def key(self):
        return self.cid, self.port, self.guest_port

    @property
    def credit(self):
        return self.room - ((self.sent - self.read) & 0xFFFFFFFF)


class Vsock(vhost_user.Device):
    def __init__(self, path, cid):
        self.cid = cid
        self.streams = {}
        self.listeners = {}  # (cid, port) of the host: path
        self.outbox = deque()  # packets for the guest, but for data
        self.readable = deque()  # streams whose socket may have something for the guest
        self.spare = None  # room for a packet
        self.doors = []
        self.next_port = FIRST_PORT
        super().__init__(path, queues=2, config=struct.pack("<Q", cid))

    # ---- for other threads ----

    def dial(self, port, timeout=10):
        """A socket that is connected to a port of the guest. ConnectionRefusedError when nobody listens there."""
        ours, theirs = socket.socketpair()
        answers = queue.SimpleQueue()
        self.soon(lambda: self.connect(theirs, port, answers.put))
        try:
            accepted = answers.get(timeout=timeout)
        except queue.Empty:
            ours.close()
            raise TimeoutError(f"the guest does not answer on vsock port {port}") from None
        if not accepted:
            ours.close()
            raise ConnectionRefusedError(f"nobody listens on the guest's vsock port {port}")
        ours.settimeout(timeout)
        return ours

    def listen(self, port, path, cid=HOST):
        """A listening socket for what the guest dials: this port of the host (or of PARENT). It takes the place of an earlier
        one."""
        s = socket.socket(socket.AF_UNIX)
        path.unlink(missing_ok=True)
        s.bind(str(path))
        s.listen(64)
        self.listeners[cid, port] = str(path)
        return s

    def swallow(self, port, cid=HOST):
        """What the guest dials here is never answered."""
        self.listeners[cid, port] = None

    def door(self, path, port):
        """Whoever dials the Unix socket `path` dials this port of the guest."""
        s = socket.socket(socket.AF_UNIX)
        s.bind(str(path))
        s.listen(64)
        self.doors.append(s)
        self.soon(lambda: self.watch(s, select.EPOLLIN, lambda _: self.connect(s.accept()[0], port)))

    def close(self):
        super().close()
        for s in self.doors:
            s.close()

    # ---- streams ----

    def connect(self, s, port, answer=None):
        self.next_port += 1
        stream = Stream(HOST, self.next_port, port, s, answer)
        s.setblocking(False)
        if self.connection is None:
            # There is no machine.
            self.end(stream)
            return
        self.streams[stream.key] = stream
        self.send(stream, REQUEST)
        self.pump()

    def accept_guest(self, key):
        """The guest dials."""
        if self.listeners.get(key[:2], "") is None:
            return
        s = socket.socket(socket.AF_UNIX)
        s.setblocking(False)
        try:
            s.connect(self.listeners[key[:2]])
        except (KeyError, OSError):
            s.close()
            self.refuse(key)
            return
        stream = Stream(*key, s)
        self.streams[key] = stream
        self.send(stream, RESPONSE)
        self.listen_to(stream)

    def listen_to(self, stream):
        """Has `stirred` called when there is something to do."""
        if stream.shut_by_host & NO_MORE_TO_RECEIVE:
            return
        wanted = select.EPOLLOUT if stream.unsent else 0
        if not stream.shut_by_host and stream not in self.readable:
            wanted |= select.EPOLLIN
        self.watch(stream.socket, wanted, lambda events: self.stirred(stream, events))

    def stirred(self, stream, events):
        if events & (select.EPOLLHUP | select.EPOLLERR):
            # Closed both ways, which epoll would say for ever.
            self.unwatch(stream.socket)
            if stream.shut_by_host:
                self.send(stream, SHUTDOWN, BOTH)
            stream.shut_by_host |= NO_MORE_TO_RECEIVE
        if stream.unsent:
            self.flush(stream)
        if stream.key in self.streams:
            if not stream.shut_by_host & NO_MORE_TO_SEND and stream not in self.readable:
                self.readable.append(stream)
            self.listen_to(stream)
        self.pump()

    def flush(self, stream):
        """Hands on what the guest sent, as far as it is taken."""
        try:
            while stream.unsent:
                n = stream.socket.send(stream.unsent)
                stream.unsent = stream.unsent[n:]
                stream.taken = (stream.taken + n) & 0xFFFFFFFF
        except BlockingIOError:
            pass
        except OSError:
            self.end(stream, RST)
            return
        if (stream.taken - stream.told) & 0xFFFFFFFF >= WINDOW // 4:
            self.send(stream, CREDIT_UPDATE)
        if not stream.unsent:
            self.shut(stream)

    def shut(self, stream):
        """Tells the host's end what the guest shut, after all that it sent before."""
        if stream.shut_by_guest == BOTH:
            self.end(stream, RST)
            return
        with suppress(OSError):
            if stream.shut_by_guest & NO_MORE_TO_SEND:
                stream.socket.shutdown(socket.SHUT_WR)
            if stream.shut_by_guest & NO_MORE_TO_RECEIVE:
                stream.socket.shutdown(socket.SHUT_RD)

    def end(self, stream, op=None):
        if op is not None:
            self.send(stream, op)
        self.streams.pop(stream.key, None)
        if stream in self.readable:
            self.readable.remove(stream)
        self.unwatch(stream.socket)
        stream.socket.close()
        self.answer(stream, False)

    def answer(self, stream, accepted):
        answer, stream.answer = stream.answer, None
        if answer is not None:
            answer(accepted)

    def stopped(self):
        self.outbox.clear()
        self.spare = None
        for stream in list(self.streams.values()):
            self.end(stream)

    # ---- packets ----

    def kicked(self, queue):
        if queue is self.queues[TX]:
            while (chain := queue.take()) is not None:
                self.packet(chain.data)
                queue.give((chain, b""))
        self.pump()

    def head(self, key, op, n=0, flags=0, taken=0):
        cid, port, guest_port = key
        return HEAD.pack(cid, self.cid, port, guest_port, n, STREAM, op, flags, WINDOW, taken)

    def send(self, stream, op, flags=0):
        stream.told = stream.taken
        self.outbox.append(self.head(stream.key, op, 0, flags, stream.taken))

    def refuse(self, key):
        self.outbox.append(self.head(key, RST))

    def packet(self, data):
        _, cid, guest_port, port, n, kind, op, flags, room, read = HEAD.unpack_from(data)
        key = cid, port, guest_port
        stream = self.streams.get(key)
        if op == REQUEST and stream is None and kind == STREAM:
            self.accept_guest(key)
            stream = self.streams.get(key)
        if stream is None:
            if op not in (RST, REQUEST):
                self.refuse(key)
            return
        stream.room, stream.read = room, read
        if op == RST:
            self.end(stream)
        elif op == RESPONSE:
            self.listen_to(stream)
            self.answer(stream, True)
        elif op == RW:
            stream.unsent += data[HEAD.size : HEAD.size + n]
            self.flush(stream)
        elif op == SHUTDOWN:
            stream.shut_by_guest |= flags & BOTH
            if not stream.unsent:
                self.shut(stream)
        elif op == CREDIT_REQUEST:
            self.send(stream, CREDIT_UPDATE)
        if stream.key in self.streams:
            self.listen_to(stream)

    def pump(self):
        """Gives the guest packets, as long as there are some and it has room for them."""
        rx = self.queues[RX]
        while True:
            self.spare = self.spare or rx.take()
            packet = self.spare and self.next_packet(self.spare.space - HEAD.size)
            if packet is None:
                return
            chain, self.spare = self.spare, None
            rx.give((chain, packet))

    def next_packet(self, space):
        for _ in range(len(self.readable)):
            if self.outbox:
                break
            stream = self.readable.popleft()
            if stream.credit <= 0:
                self.readable.append(stream)
                continue
            try:
                data = stream.socket.recv(min(space, stream.credit))
            except BlockingIOError:
                self.listen_to(stream)
                continue
            except OSError:
                self.end(stream, RST)
                break
            if not data:
                stream.shut_by_host |= NO_MORE_TO_SEND
                self.send(stream, SHUTDOWN, stream.shut_by_host)
                self.listen_to(stream)
                break
            self.readable.append(stream)
            stream.sent = (stream.sent + len(data)) & 0xFFFFFFFF
            stream.told = stream.taken
            return self.head(stream.key, RW, len(data), 0, stream.taken) + data
        return self.outbox.popleft() if self.outbox else None
