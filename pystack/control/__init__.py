"""The control socket: a running stack answers requests from other processes (`pystack ss`, `pystack ctl`)."""
