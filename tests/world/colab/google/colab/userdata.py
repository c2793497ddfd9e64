"""Secrets. The three errors share no base class but Exception, and the page has ten seconds."""

from google.colab import _message, errors


class NotebookAccessError(Exception):
    def __init__(self, key):
        super().__init__(f"Notebook does not have access to secret {key}")


class SecretNotFoundError(errors.Error):
    def __init__(self, key):
        super().__init__(f"Secret {key} does not exist.")


class TimeoutException(errors.Error):
    def __init__(self, key):
        super().__init__(f"Requesting secret {key} timed out.")


def get(key):
    told = _message.blocking_request("GetSecret", request={"key": key}, timeout_sec=10)
    if not told:
        raise TimeoutException(key)
    if not told.get("exists", False):
        raise SecretNotFoundError(key)
    if not told.get("access", False):
        raise NotebookAccessError(key)
    return told.get("payload", "")
