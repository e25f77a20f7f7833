"""The Linux kernel's side: network namespaces, and devices set up by rtnetlink and ioctl."""
