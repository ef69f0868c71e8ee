"""What a medium offers when it starts, as one model and as text for every boot loader."""
