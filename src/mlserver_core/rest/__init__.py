"""The REST transport, over aiohttp."""
