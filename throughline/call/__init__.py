"""One phone call: protocol and timing logic without I/O (time is passed in), and the session that does the waiting."""
