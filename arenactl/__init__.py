"""arenactl: ask the daemon how it is, and tell it what to do, over its control socket."""
