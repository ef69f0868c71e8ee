"""What each boot loader puts on a disk: one module each, and the table of them."""
