"""Loss detection and recovery: SACK, RACK, the retransmission timer, and the undoing of needless recoveries."""
