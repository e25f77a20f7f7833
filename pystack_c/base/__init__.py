"""What every layer uses: byte queues, sequence numbers, timers, random numbers, SipHash and rate limits."""
