"""Lab 37: the tools of this machine against a host of pystack."""
