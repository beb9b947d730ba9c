"""The master: supervises every other process, and does nothing else. No asyncio, no thread, no HTTP."""
