"""As A1111 v1.10.1's modules/options.py, less the page."""


class OptionInfo:
    def __init__(self, default=None, label="", component=None, component_args=None):
        self.default = default

    def info(self, text):
        return self


def options_section(identifier, options):
    return options
