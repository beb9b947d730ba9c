"""arenad: a pool of browser sessions on chat pages, served as one OpenAI-compatible endpoint."""

__version__ = "0.1.0"
