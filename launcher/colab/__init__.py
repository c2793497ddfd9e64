"""Google Colab: the machine and its dialogs."""
