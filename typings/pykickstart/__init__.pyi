"""Kickstarts. What its handlers hold differs by version of the language, and stays untyped."""
