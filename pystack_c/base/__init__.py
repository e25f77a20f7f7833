"""The tools that every layer uses: queues, sequence numbers, timers, random numbers, SipHash and rate limits."""
