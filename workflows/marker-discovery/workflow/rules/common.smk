OUT = config["out"]
FOUND = f"{OUT}/found"


def options(settings):
    """The words of a command's options; a list repeats its option."""
    return [
        word
        for name, values in settings.items()
        for value in (values if isinstance(values, list) else [values])
        for word in (f"--{name}", str(value))
    ]
