"""How the book gets to its readers: its address, what carries it, and the packages beside the pages."""
