"""The way in: the auth proxy, its login, and the public link that leads to it."""
