"""Plain data as YAML that a person likes to read. Enough for configurations: dict, list, str, int, bool."""

import json
import re

_PLAIN = re.compile(r"^[A-Za-z_/][A-Za-z0-9_./@-]*$")
_WORDS = {"true", "false", "yes", "no", "on", "off", "null", "none"}


def _scalar(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if _PLAIN.match(value) and value.lower() not in _WORDS - {"none"}:
        return value
    return json.dumps(value, ensure_ascii=False)


def to_yaml(data, indent=0):
    """The text of a mapping, each line indented by `indent` blanks."""
    pad, lines = " " * indent, []
    for key, value in data.items():
        if isinstance(value, dict):
            lines.append(f"{pad}{_scalar(key)}:" + ("" if value else " {}"))
            lines += [to_yaml(value, indent + 2).rstrip("\n")] if value else []
        elif isinstance(value, (list, tuple)) and value and isinstance(value[0], dict):
            lines.append(f"{pad}{_scalar(key)}:")
            for item in value:
                text = to_yaml(item, indent + 4).rstrip("\n")
                lines.append(f"{pad}  - {text[indent + 4:]}")
        elif isinstance(value, (list, tuple)):
            lines.append(f"{pad}{_scalar(key)}: [{', '.join(_scalar(v) for v in value)}]")
        else:
            lines.append(f"{pad}{_scalar(key)}: {_scalar(value)}")
    return "\n".join(lines) + "\n"
