"""The network address that somebody is counted by: what the last of our own proxies saw, and of IPv6 the whole network of one subscriber.

What always holds: nobody chooses it by what they send, and a network is one party wherever something is counted, in this process or in the
record.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

_SUBSCRIBER_BITS = 64  # of an IPv6 address: one subscriber has all that begin so (RFC 6177)


def client_address(peer: str, forwarded: Sequence[str], *, proxies: int) -> str:
    """The client's address behind so many ``proxies`` of ours, each of which adds to X-Forwarded-For the address that it saw: to the line
    that is there, or as a line of its own behind it. ``forwarded`` are those lines. What comes before belongs to whoever sent it. Where
    that place has no address, the ``peer``'s."""
    named = [part.strip() for line in forwarded for part in line.split(",") if part.strip()]
    seen = _address_in(named[-proxies]) if 0 < proxies <= len(named) else None
    return seen or peer


def one_party(caller: str) -> str:
    """Who ``caller`` is counted as. All addresses of one IPv6 subscriber are one party, an IPv4 address in IPv6's form is that address;
    anything else, such as a telephone number, is itself."""
    try:
        address = ipaddress.ip_address(caller)
    except ValueError:
        return caller
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), _SUBSCRIBER_BITS), strict=False))


def _address_in(named: str) -> str | None:
    """The address in what a proxy wrote, which some write with its port; None where there is none."""
    if named.startswith("["):
        named = named[1:].partition("]")[0]
    elif named.count(":") == 1:
        named = named.partition(":")[0]
    try:
        return str(ipaddress.ip_address(named))
    except ValueError:
        return None
