"""The way in: the door, the login, and the public link that leads to them."""
