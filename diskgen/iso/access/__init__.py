"""How a machine that installs reaches registries, and whom it trusts there."""
