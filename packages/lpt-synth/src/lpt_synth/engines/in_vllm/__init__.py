"""The parts of the engine vLLM: its process, the order of requests, whose turn it is, what is free again."""
