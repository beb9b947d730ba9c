"""The frontend: accepts HTTP, queues, balances, and writes events in OpenAI's vocabulary."""
