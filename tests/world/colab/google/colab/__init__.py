"""A stand-in for google.colab: the few calls the launcher makes. CONTROL names a file that makes it misbehave."""
