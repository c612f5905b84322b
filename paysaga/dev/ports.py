"""Loopback ports."""

import os
import random
import socket
from collections import deque

HOST = "127.0.0.1"
# Below the range that systems take ports of outgoing connections from (32768 and up): a port found free stays free,
# and a connection to a server that isn't up yet can't end up connected to itself.
_FIRST, _LAST = 20_000, 32_000
# The ports given out last. Between finding a port free and listening on it a second passes in which another paysaga
# could find the same one: a UDP socket of ours with its number tells that one to look further, and ends with us.
_CLAIMED: deque[int] = deque()
_CLAIMS = 64


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    # macOS lets us bind beside a server that listens on all addresses, so ask as a client would.
    with socket.socket() as client:
        client.settimeout(0.5)
        return client.connect_ex((HOST, port)) != 0


def free_ports(count: int) -> list[int]:
    """`count` different ports that nobody listens on and no other paysaga has just found."""
    found: list[int] = []
    for port in random.sample(range(_FIRST, _LAST), k=2_000):
        if len(found) == count:
            break
        if is_free(port) and _claim(port):
            found.append(port)
    return found


def _claim(port: int) -> bool:
    claim = socket.socket(type=socket.SOCK_DGRAM)
    try:
        claim.bind((HOST, port))
    except OSError:
        claim.close()
        return False
    _CLAIMED.append(claim.detach())
    if len(_CLAIMED) > _CLAIMS:
        os.close(_CLAIMED.popleft())
    return True


def free_port() -> int:
    return free_ports(1)[0]
