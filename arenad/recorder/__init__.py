"""The recorder: the only writer of the daemon's history, and needed for no request."""
