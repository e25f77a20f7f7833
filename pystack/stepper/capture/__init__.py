"""Captures that other programs made (pcapng and pcap), as a timeline of the stepper.

A capture holds frames, and no decisions of a stack. What TCP did is inferred from the frames alone, by the rules that Wireshark
documents, so the counts agree with tshark's (docs/howto/captures.md names the differences).
"""

from pystack.stepper.capture.timeline import CaptureTimeline

__all__ = ["CaptureTimeline"]
