"""The soak: a live TAP under mixed load, faults and churn, for an hour (`make soak`). It passes only if all counts are
flat.
"""
