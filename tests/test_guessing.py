"""What the checks of accounts count by: networks of addresses, and which hours of failed logins are unusual."""

from __future__ import annotations

import math

import numpy as np
import pytest

from logscan.checking.beta_binomial import BetaBinomial, fitted, unusual
from logscan.scan.login_tries import account, byte, opened_from
from logscan.scan.networks import in_house, network, provider


@pytest.mark.parametrize(
    ("address", "net", "wide"),
    [
        ("192.0.2.77", "192.0.2.0/24", "192.0.0.0/12"),
        ("::ffff:192.0.2.77", "192.0.2.0/24", "192.0.0.0/12"),
        ("[2001:db8:1:2:3::4]", "2001:db8:1:2::/64", "2001:db8::/32"),
        ("fe80::1%eth0", "fe80::/64", "fe80::/32"),
        ("unknown", "", ""),
        ("1.2.3", "", ""),
        ("1.2.3.4444", "", ""),
        ("", "", ""),
        (None, "", ""),
        ("::x", "", ""),
    ],
)
def test_an_address_lies_in_a_network_and_a_provider_s(address: str | None, net: str, wide: str) -> None:
    assert network(address) == net
    assert provider(net) == wide


def test_addresses_of_a_house_s_own_are_told_from_others() -> None:
    assert all(
        in_house(network(each)) for each in ("10.1.2.3", "172.18.0.1", "192.168.7.9", "127.0.0.1", "::1", "fd00::1")
    )
    assert not any(in_house(network(each)) for each in ("172.15.0.1", "203.0.113.9", "2001:db8::1", "unknown"))


def test_the_first_address_of_a_network_is_known_by_its_last_number() -> None:
    assert opened_from("192.0.2.0/24", (1_700_000_000 << 8) + byte("192.0.2.77")) == "192.0.2.77"
    assert opened_from("2001:db8::/64", 1_700_000_000 << 8) == "2001:db8::/64"


def test_a_user_name_is_compared_in_lower_case_and_cut() -> None:
    assert account(" Bob@Example.ORG ") == "bob@example.org"
    assert account("(unavailable)") == account(None) == ""
    assert len(account("x" * 5000)) == 200


def test_the_tail_adds_up_to_the_whole() -> None:
    found = BetaBinomial(0.5, 20.0)
    chances = [math.exp(found.log_tail(k, 30)) for k in range(31)]
    assert chances[0] == pytest.approx(1)
    assert chances == sorted(chances, reverse=True)
    assert math.exp(found.log_tail(1, 1)) == pytest.approx(found.mean)


def test_a_long_tail_is_near_the_exact_one() -> None:
    found = BetaBinomial(0.7, 12.0)
    exact = math.log(sum(math.exp(found._log(k, 5000)) for k in range(900, 5001)))
    assert found.log_tail(900, 5000) == pytest.approx(exact, abs=0.05)


def test_hours_in_which_failures_cluster_are_usual() -> None:
    random = np.random.default_rng(4)
    for _ in range(20):
        n = random.integers(1, 60, 24 * 14)
        failed = random.binomial(n, random.beta(0.5, 20, len(n)))
        assert not unusual(failed, n, 0.001)[0].any()


def test_hours_of_an_attack_stand_out_and_are_no_part_of_what_is_usual() -> None:
    random = np.random.default_rng(5)
    n = random.integers(10, 60, 24 * 14)
    failed = random.binomial(n, random.beta(2, 60, len(n)))
    before = fitted(failed, n).mean
    n[-9:] += 60
    failed[-9:] += 60
    odd, usual = unusual(failed, n, 0.001)
    assert odd[-9:].all()
    assert not odd[:-9].any()
    assert usual.mean == pytest.approx(before, rel=0.1)


def test_one_failure_on_a_server_where_nobody_fails_is_no_attack() -> None:
    n = np.full(100, 5)
    failed = np.zeros(100, np.int64)
    failed[40] = 1
    assert not unusual(failed, n, 0.001)[0].any()
