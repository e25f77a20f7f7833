"""The control socket: a running stack answers questions from other processes (`pystack ss`, `pystack ctl`)."""
