"""Small chat pages beside the arena, each with its own way to bring an answer to the page."""
