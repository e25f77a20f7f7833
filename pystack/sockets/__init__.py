"""The parts of `pystack.socket`: descriptors, waiting, options and names around the endpoints of the core."""
