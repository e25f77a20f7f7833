"""The soak: a live TAP under mixed load, faults and churn, for an hour; `make soak`. It ends well only if all that is counted is flat."""
