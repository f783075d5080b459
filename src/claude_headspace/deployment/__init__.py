"""Starting and stopping everything under one supervisord."""
