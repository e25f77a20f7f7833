"""Helpers that tests share: see `peer.Peer`."""
