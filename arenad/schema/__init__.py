"""Every struct that crosses a process, a socket or a file, and nothing else.

`config` is the configuration file; `chat` is a request and its events; `process` is what the master
and its children tell each other; `control` is what operators ask; `history` is what is remembered;
`view` is what a person sees of a page and does to it; `frame` is the envelope of all.
"""

SCHEMA_VERSION = 10
"""Raised with every change of a message; the ends of a link compare it in the first one."""
