"""Fourth room: what the estimates can bear."""
