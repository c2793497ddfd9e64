"""Google Colab, or another machine."""
