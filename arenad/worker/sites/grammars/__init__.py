"""Grammars: what a page receives becomes events. All are brains: bytes or text in, events out."""
