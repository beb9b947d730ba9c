"""The master: supervises every other process and nothing else. No asyncio, thread or HTTP."""
