"""Where source and store meet: the background process."""
