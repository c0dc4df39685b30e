"""The beta-binomial distribution: how many of n logins fail where the share that fails differs from hour to hour.

A binomial would take each hour in which a colleague came back from holiday for an attack: failures come in clusters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LEAST_SPREAD, MOST_SPREAD = 1e-4, 0.9
"""Bounds of the correlation of two tries of one hour: 0 is a binomial, 1 means that all fail or none."""

FEW = 400
"""Terms of the upper tail that are added up; where there are more, evenly spread ones stand for their neighbours."""


@dataclass(frozen=True)
class BetaBinomial:
    """``a`` and ``b`` of the beta distribution that the share of failures is drawn from."""

    a: float
    b: float

    @property
    def mean(self) -> float:
        """The usual share of failures."""
        return self.a / (self.a + self.b)

    def log_tail(self, failed: int, n: int) -> float:
        """Return the natural logarithm of the probability of at least ``failed`` failures among ``n`` tries."""
        if failed <= 0:
            return 0.0
        terms = [self._log(k, n) for k in _steps(failed, n)]
        top = max(terms)
        if top == -math.inf:
            return -math.inf
        scale = (n - failed + 1) / len(terms)
        return min(0.0, top + math.log(sum(math.exp(each - top) for each in terms) * scale))

    def _log(self, k: int, n: int) -> float:
        choose = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        return choose + _log_beta(k + self.a, n - k + self.b) - _log_beta(self.a, self.b)


def _steps(failed: int, n: int) -> range:
    """Return the numbers of failures whose probabilities are added up: all, or evenly spread ones of very many."""
    return range(failed, n + 1, max(1, (n - failed) // FEW))


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def fitted(failed: Ints, n: Ints) -> BetaBinomial:
    """Return the distribution of some hours by their moments (Kleinman's): one failure and one login are added to all.

    Without the two, a server on which nobody ever mistyped would take the first who does for an attack.
    """
    tries = n.astype(np.float64)
    total = tries.sum()
    mean = (failed.sum() + 1.0) / (total + 2.0)
    spread = LEAST_SPREAD
    if len(n) > 1:
        share = failed / tries
        seen = float((tries * (share - mean) ** 2).sum())
        chance = mean * (1 - mean)
        even = chance * (len(n) - 1)
        clustered = chance * (total - (tries**2).sum() / total - (len(n) - 1))
        if clustered > 0:
            spread = (seen - even) / clustered
    spread = min(max(spread, LEAST_SPREAD), MOST_SPREAD)
    size = 1 / spread - 1
    return BetaBinomial(mean * size, (1 - mean) * size)


ROUNDS = 8
"""Times that the distribution is fitted anew without the hours that don't belong to it."""


def unusual(failed: Ints, n: Ints, alike: float) -> tuple[npt.NDArray[np.bool_], BetaBinomial]:
    """Return which hours have more failures than the others let one expect, and the distribution of those others.

    ``alike`` is the chance that one hour among all is taken for unusual though it isn't. The hours that stand out are left
    out, and the rest is fitted again, until none is added: an attack is no part of what is usual.
    """
    out = np.zeros(len(n), np.bool_)
    least = math.log(alike / max(len(n), 1))
    # The half with the smaller shares is taken first: an attack of less than half the time doesn't hide in its own fit.
    order = np.argsort(failed / n, kind="stable")
    usual = np.zeros(len(n), np.bool_)
    usual[order[: (len(n) + 1) // 2]] = True
    found = fitted(failed[usual], n[usual])
    for _ in range(ROUNDS):
        now = np.array([found.log_tail(int(k), int(of)) < least for k, of in zip(failed, n, strict=True)], np.bool_)
        if (now == out).all() or now.all():
            break
        out = now
        found = fitted(failed[~out], n[~out])
    return out, found
