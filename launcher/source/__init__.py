"""What is run of A1111 and of extensions: their source, kept on Drive, checked out on the machine."""
