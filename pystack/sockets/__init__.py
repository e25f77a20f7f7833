"""What `pystack.socket` is made of: descriptors, waiting, options and names around the endpoints of the core."""
