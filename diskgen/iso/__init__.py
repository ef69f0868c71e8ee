"""Installation media, made and read: a room for each thing that one is made of."""
