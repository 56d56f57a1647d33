"""Devices of a QEMU machine that live in this process: as much of vhost-user and of virtqueues as they need.

A device is a Device with its own `kicked`. All of it happens in one thread, the loop; others hand over with `soon`.
"""

import mmap
import os
import select
import socket
import struct
import threading
from collections import deque


VERSION_1, PROTOCOL_FEATURES = 1 << 32, 1 << 30
MQ, REPLY_ACK, CONFIG = 1 << 0, 1 << 3, 1 << 9
NEED_REPLY = 1 << 3
NEXT, WRITABLE = 1, 2

GET_FEATURES, SET_MEM_TABLE, SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE = 1, 5, 8, 9, 10
GET_VRING_BASE, SET_VRING_KICK, SET_VRING_CALL, GET_PROTOCOL_FEATURES = 11, 12, 13, 15
GET_QUEUE_NUM, SET_VRING_ENABLE, GET_CONFIG = 17, 18, 24

# What a peer that says nonsense leads to.
NONSENSE = (OSError, ValueError, IndexError, struct.error)


class Memory:
    """The guest's memory."""

    def __init__(self):
        self.regions = []

    def set(self, body, fds):
        self.regions = []
        for i, fd in enumerate(fds):
            guest, size, user, offset = struct.unpack_from("<QQQQ", body, 8 + 32 * i)
            self.regions.append((guest, user, size, mmap.mmap(fd, size + offset), offset))
            os.close(fd)

    def at(self, address, ours):
        """Where an address of QEMU's own (ours) or of the guest's leads to."""
        for guest, user, size, memory, offset in self.regions:
            start = user if ours else guest
            if start <= address < start + size:
                return memory, offset + address - start
        raise ValueError(f"no memory at {address:#x}")

    def read(self, address, n, ours=False):
        memory, i = self.at(address, ours)
        return memory[i : i + n]

    def write(self, address, data, ours=False):
        memory, i = self.at(address, ours)
        memory[i : i + len(data)] = data


class Chain:
    """What the driver put on a queue as one: bytes for us, and room for ours as [(address, length)]."""

    def __init__(self, head, data, room):
        self.head, self.data, self.room = head, data, room

    @property
    def space(self):
        return sum(n for _, n in self.room)


class Queue:
    def __init__(self, memory):
        self.memory = memory
        self.size = self.next = 0
        self.enabled = self.answered = False
        self.rings = self.kick = self.call = None

    def number(self, address):
        return struct.unpack("<H", self.memory.read(address, 2, True))[0]

    def take(self):
        """The next chain, or None."""
        # Before it is enabled the queue is not ours to look at.
        if not (self.rings and self.enabled and self.kick is not None):
            return None
        table, _, available = self.rings
        if self.number(available + 2) == self.next:
            return None
        head = self.number(available + 4 + 2 * (self.next % self.size))
        self.next = (self.next + 1) & 0xFFFF
        data, room, i = b"", [], head
        for _ in range(self.size):
            address, n, flags, following = struct.unpack("<QIHH", self.memory.read(table + 16 * i, 16, True))
            if flags & WRITABLE:
                room.append((address, n))
            else:
                data += self.memory.read(address, n)
            if not flags & NEXT:
                return Chain(head, data, room)
            i = following
        raise ValueError("a chain without end")

    def give(self, *answers):
        """Gives chains back, all at once: (chain, bytes)... What does not fit is cut off."""
        used = self.rings[1]
        i = self.number(used + 2)
        for chain, data in answers:
            written = 0
            for address, n in chain.room:
                part = data[written : written + n]
                self.memory.write(address, part)
                written += len(part)
            self.memory.write(used + 4 + 8 * (i % self.size), struct.pack("<II", chain.head, written), True)
            i = (i + 1) & 0xFFFF
        self.memory.write(used + 2, struct.pack("<H", i), True)
        self.answered = True
        self.signal()

    def signal(self):
        if self.call is not None:
            os.write(self.call, struct.pack("<Q", 1))


class Device:
    """Listens at `path` for QEMU. faults: what went wrong here, as text."""

    def __init__(self, path, queues, config=b""):
        self.config = config
        self.faults = []
        self.memory = Memory()
        self.queues = [Queue(self.memory) for _ in range(queues)]
        self.tasks = deque()
        self.handlers = {}
        self.epoll = select.epoll()
        self.wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.watch(self.wake, select.EPOLLIN, self.woken)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(1)
        self.connection = None
        self.watch(self.listener, select.EPOLLIN, self.accept)
        self.thread = threading.Thread(target=self.loop, daemon=True)
        self.thread.start()

    # ---- for devices ----

    def kicked(self, queue):
        """The driver put something on this queue, or it was just enabled."""

    def stopped(self):
        """The queues are gone: what was taken from them must not be given back."""

    def soon(self, task):
        """Runs a task in the loop."""
        self.tasks.append(task)
        os.eventfd_write(self.wake, 1)

    def watch(self, fd, events, handler):
        """handler(events), in the loop."""
        n = fd if isinstance(fd, int) else fd.fileno()
        if n in self.handlers:
            self.epoll.modify(n, events)
        else:
            self.epoll.register(n, events)
        self.handlers[n] = handler

    def unwatch(self, fd):
        n = fd if isinstance(fd, int) else fd.fileno()
        if self.handlers.pop(n, None):
            self.epoll.unregister(n)

    def close(self):
        self.soon(None)
        self.thread.join(10)

    # ---- the loop ----

    def loop(self):
        while True:
            for fd, events in self.epoll.poll():
                handler = self.handlers.get(fd)
                if handler is None:
                    continue
                try:
                    handler(events)
                except StopIteration:
                    self.drop()
                    self.listener.close()
                    self.epoll.close()
                    os.close(self.wake)
                    return
                except NONSENSE as e:
                    self.faults.append(repr(e))
                    self.drop()

    def woken(self, _):
        os.eventfd_read(self.wake)
        while self.tasks:
            task = self.tasks.popleft()
            if task is None:
                raise StopIteration
            task()

    def accept(self, _):
        self.drop()
        self.connection, _ = self.listener.accept()
        self.watch(self.connection, select.EPOLLIN, self.message)

    def drop(self):
        """QEMU went away, or is told to."""
        for q in self.queues:
            self.stop(q)
            self.replace(q, "call", None)
        self.memory.regions = []
        if self.connection is not None:
            self.unwatch(self.connection)
            self.connection.close()
            self.connection = None

    def stop(self, q):
        self.replace(q, "kick", None)
        q.rings, q.answered = None, False
        self.stopped()

    def replace(self, q, what, fd):
        old = getattr(q, what)
        if old is not None:
            self.unwatch(old)
            os.close(old)
        setattr(q, what, fd)

    def receive(self, n, fds):
        data = b""
        while len(data) < n:
            more, more_fds, _, _ = socket.recv_fds(self.connection, n - len(data), 8)
            fds += more_fds
            if not more:
                break
            data += more
        return data

    def message(self, _):
        fds = []
        head = self.receive(12, fds)
        if len(head) < 12:
            self.drop()
            return
        kind, flags, n = struct.unpack("<III", head)
        reply = self.act(kind, self.receive(n, fds), fds)
        if reply is None and flags & NEED_REPLY:
            reply = struct.pack("<Q", 0)
        if reply is not None:
            self.connection.sendall(struct.pack("<III", kind, 5, len(reply)) + reply)

    def act(self, kind, body, fds):
        """What QEMU says; bytes are an answer."""
        if kind == GET_FEATURES:
            return struct.pack("<Q", VERSION_1 | PROTOCOL_FEATURES)
        if kind == GET_PROTOCOL_FEATURES:
            return struct.pack("<Q", MQ | REPLY_ACK | (CONFIG if self.config else 0))
        if kind == GET_QUEUE_NUM:
            return struct.pack("<Q", len(self.queues))
        if kind == GET_CONFIG:
            offset, size, _ = struct.unpack_from("<III", body)
            return body[:12] + self.config[offset : offset + size].ljust(size, b"\0")
        if kind == SET_MEM_TABLE:
            self.memory.set(body, fds)
        elif SET_VRING_NUM <= kind <= SET_VRING_CALL or kind == SET_VRING_ENABLE:
            return self.set_queue(kind, self.queues[body[0]], body, fds)
        return None

    def set_queue(self, kind, q, body, fds):
        value = struct.unpack_from("<I", body, 4)[0]
        if kind == SET_VRING_NUM:
            q.size = value
        elif kind == SET_VRING_ADDR:
            _, _, table, used, available, _ = struct.unpack("<IIQQQQ", body)
            q.rings = (table, used, available)
        elif kind == SET_VRING_BASE:
            q.next = value
        elif kind == GET_VRING_BASE:
            base = q.next
            self.stop(q)
            return struct.pack("<II", body[0], base)
        elif kind == SET_VRING_KICK:
            self.replace(q, "kick", None if body[1] & 1 else fds[0])
            if q.kick is not None:
                self.watch(q.kick, select.EPOLLIN, lambda _: (os.read(q.kick, 8), self.kicked(q)))
                self.kicked(q)
        elif kind == SET_VRING_CALL:
            self.replace(q, "call", None if body[1] & 1 else fds[0])
            # What was signalled on the old descriptor may be lost.
            if q.answered:
                q.signal()
        elif kind == SET_VRING_ENABLE:
            q.enabled = value == 1
            self.kicked(q)
        return None
