"""Finding the log's server: the hosts of its address, and the identity of a server."""
