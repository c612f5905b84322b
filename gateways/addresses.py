"""Which addresses of the Internet may be connected to for a URL that somebody gave us. Pure."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

# Addresses of IPv6 that lead to one of IPv4: by NAT64 (RFC 6052), in its last 32 bits; the local-use prefix (RFC 8215)
# may have it anywhere, so it is refused as a whole, and so are the long-deprecated IPv4-compatible ones.
_NAT64: Final = ip_network("64:ff9b::/96")
_REFUSED: Final = (ip_network("64:ff9b:1::/48"), ip_network("::/96"))


def is_public(address: str) -> bool:
    """Whether it is of one machine out there, also where an address of IPv6 only leads to one of IPv4."""
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return _is_public(ip)


def _is_public(ip: IPv4Address | IPv6Address) -> bool:
    if isinstance(ip, IPv6Address):
        if inner := _inner(ip):
            return _is_public(inner)
        if any(ip in network for network in _REFUSED):
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def _inner(ip: IPv6Address) -> IPv4Address | None:
    """Of IPv4-mapped, 6to4, Teredo and NAT64."""
    if ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    if ip.sixtofour is not None:
        return ip.sixtofour
    if ip.teredo is not None:
        return ip.teredo[1]
    return IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None
