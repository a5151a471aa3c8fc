"""The device side: sources, the session, trackers, sinks, and the loop that joins them."""
