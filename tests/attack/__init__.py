"""Attackers that keep state: off the path, on the path, and as a peer; and what each of them must not achieve (docs/explanation/threat-model.md)."""
