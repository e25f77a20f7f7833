"""Loss detection and recovery: SACK, RACK, the retransmission timer, and the undo of spurious recoveries."""
