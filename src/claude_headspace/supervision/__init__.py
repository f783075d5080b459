"""What keeps the watcher running, and stops it when that is hopeless."""
