"""The frontend: accepts HTTP, queues, balances, and writes a worker's events in OpenAI's vocabulary."""
