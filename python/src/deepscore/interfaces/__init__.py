"""How users reach the workflows: Python, the command line and R; the only readers and writers of their objects."""
