"""Tests of launcher/client."""
