"""Good and hostile requests, mixed, through a whole daemon with real browsers."""
