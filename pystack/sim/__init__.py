"""Networks in virtual time: hosts, links, switches, and programs that run on the hosts."""
