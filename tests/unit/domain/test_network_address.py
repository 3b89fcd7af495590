"""By which network address somebody is counted."""

from __future__ import annotations

import pytest

from throughline.domain.network_address import client_address, one_party

pytestmark = pytest.mark.unit

PEER, PROXY, CLIENT = "192.0.2.1", "192.0.2.2", "203.0.113.7"


@pytest.mark.parametrize(
    ("proxies", "lines", "counted"),
    [
        (0, [CLIENT], PEER),
        (1, [], PEER),
        (1, [CLIENT], CLIENT),
        (1, [f"198.51.100.1, {CLIENT}"], CLIENT),
        (1, ["198.51.100.1", CLIENT], CLIENT),
        (1, ["198.51.100.1, 198.51.100.2", f" {CLIENT} "], CLIENT),
        (2, ["198.51.100.1", CLIENT, PROXY], CLIENT),
        (2, [f"198.51.100.1,{CLIENT}", PROXY], CLIENT),
        (2, [CLIENT], PEER),
        (1, ["", ","], PEER),
        (1, [f"{CLIENT},"], CLIENT),
    ],
)
def test_it_is_what_the_last_of_our_own_proxies_saw(proxies: int, lines: list[str], counted: str) -> None:
    assert client_address(PEER, lines, proxies=proxies) == counted


@pytest.mark.parametrize(
    ("written", "counted"),
    [
        (f"{CLIENT}:4711", CLIENT),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("unknown", PEER),
        ("_hidden", PEER),
        ("203.0.113.7.evil.example", PEER),
        ("203.0.113.300", PEER),
        ("[203.0.113.7", CLIENT),
        ("[]:80", PEER),
        (":", PEER),
        ("a" * 5000, PEER),
    ],
)
def test_what_is_no_address_counts_for_nothing(written: str, counted: str) -> None:
    assert client_address(PEER, [f"198.51.100.1, {written}"], proxies=1) == counted


@pytest.mark.parametrize(
    ("caller", "party"),
    [
        (CLIENT, CLIENT),
        ("::ffff:203.0.113.7", CLIENT),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("2001:db8:1:2::/64", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("+15035550100", "+15035550100"),
        ("", ""),
    ],
)
def test_an_ipv6_subscriber_is_one_party(caller: str, party: str) -> None:
    assert one_party(caller) == one_party(one_party(caller)) == party
