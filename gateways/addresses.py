"""Which addresses of the Internet may be connected to for a URL that somebody gave us. Pure."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

# All that IPv6 has given to machines out there; what lies elsewhere is local, special, or nobody's yet.
_UNICAST: Final = ip_network("2000::/3")
# Leads to the address of IPv4 in its last 32 bits (NAT64, RFC 6052).
_NAT64: Final = ip_network("64:ff9b::/96")


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
        if ip not in _UNICAST:
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
