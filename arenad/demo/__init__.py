"""The demo arena: a local chat-arena site that speaks the arena wire protocol, on loopback only."""
