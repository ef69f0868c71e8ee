"""Installation media of vendors: what is on them, what their menus start, and a label anew."""
