# SPDX-License-Identifier: Apache-2.0
"""Medians, bootstrap intervals and paired ratios of the demo's comparison.

Relies on: the standard library only. Deterministic: the same numbers and seed give the same
intervals. Does not: decide what is compared (result.py does).
"""
import math
import random

RESAMPLES = 2000
INTERVAL = 0.95


def median(values):
    """The middle value; the mean of the two middle ones of an even number. REQUIRES: not empty."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def quantile(values, q):
    """Linear interpolation between order statistics, q in [0, 1]. REQUIRES: not empty."""
    ordered = sorted(values)
    position = q * (len(ordered) - 1)
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def summarise(values, seed=1):
    """{'median', 'lo', 'hi', 'n'}: the median and its 95 % interval by percentile bootstrap.

    None values (a slot in which the metric is not defined) are left out; None when nothing is left.
    """
    values = [v for v in values if v is not None]
    if not values:
        return None
    generator = random.Random(seed)
    count = len(values)
    medians = [median(generator.choices(values, k=count)) for _ in range(RESAMPLES)] if count > 1 else values
    tail = (1 - INTERVAL) / 2
    return {"median": median(values), "lo": quantile(medians, tail), "hi": quantile(medians, 1 - tail), "n": count}


def ratio(above, below):
    """above / below; None where either is missing or the lower one is 0."""
    if above is None or not below:
        return None
    return above / below


def paired_ratios(above, below, seed=1):
    """Summary of the ratios round by round: what the rounds have in common cancels out."""
    return summarise([ratio(a, b) for a, b in zip(above, below, strict=True)], seed)


def paired_differences(above, below, seed=1):
    """As paired_ratios, for quantities that may be 0."""
    return summarise([a - b for a, b in zip(above, below, strict=True) if a is not None and b is not None], seed)


def disjoint_below(low, high):
    """True when the whole interval of `low` lies under that of `high`."""
    return low is not None and high is not None and low["hi"] < high["lo"]
