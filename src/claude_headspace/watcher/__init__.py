"""The watcher: the background process that captures transcripts.

It stays below 50 MB: `tests/acceptance/test_memory_limit.py` measures it, and the contract `lean`
in `setup.cfg` forbids imports of large libraries.
"""
