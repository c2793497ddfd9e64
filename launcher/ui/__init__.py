"""How a status is drawn: HTML, text, words."""
