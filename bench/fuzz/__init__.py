"""Requests drawn from our own OpenAPI document, on a running daemon."""
