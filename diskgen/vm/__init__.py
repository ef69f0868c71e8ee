"""Virtual machines: a working accelerator, firmware, booting what was built."""
