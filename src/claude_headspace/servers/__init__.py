"""Which server is the log's: the hosts of its address, and what a server says of itself."""
