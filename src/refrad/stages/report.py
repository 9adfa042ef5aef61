"""Write the pages."""
VERSION = 1
