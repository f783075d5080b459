"""`doctor`: gathers facts about the installation and checks them."""
