"""What a kickstart says: the commands that are written, and how a user's own ones meet them."""
