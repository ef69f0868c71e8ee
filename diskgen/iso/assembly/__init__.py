"""What a medium is going to be and where everything lies on it, of all the rooms beside this."""
