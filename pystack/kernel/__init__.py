"""The Linux kernel's side: network namespaces, and devices that rtnetlink and ioctl set up."""
