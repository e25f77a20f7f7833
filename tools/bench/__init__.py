"""The benchmark: pystack, its peers, the kernel and the bare TAP side by side in one run (`make bench`;
docs/explanation/speed.md).
"""
