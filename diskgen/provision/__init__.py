"""What a machine is given of its own, written into its /etc and /var: nothing of it is run.

The files are those that the system's own programs would leave; each module names its format.
"""
