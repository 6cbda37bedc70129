"""The commands in Markdown, made from their help: `docs/commands.md` and the README's table.

    python -m dolma_kit.cli.reference

writes both; a test fails while either differs from what the help says.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import typer

from dolma_kit.cli import commands

BEGIN = "<!-- commands: made by `make docs` from the help text -->"
END = "<!-- end of commands -->"


def leaves() -> list[tuple[str, Any]]:
    """(name, command) of every command, in the order of `--help`; groups give their own."""
    root = typer.main.get_command(commands())
    found: list[tuple[str, Any]] = []
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        if inner is None or command.invoke_without_command:
            found.append((f"dolma-kit {name}", command))
        if inner is not None:
            found += [(f"dolma-kit {name} {leaf}", c) for leaf, c in inner.items()]
    return found


def table() -> str:
    """One line a command: what it is for."""
    rows = [f"| `{name}` | {_first_line(command.help)} |" for name, command in leaves()]
    return "\n".join(["| command | what it does |", "|---|---|", *rows])


def page() -> str:
    """All commands with their arguments and flags."""
    parts = [
        "# Commands",
        "",
        "Made from the help text by `make docs`. Every flag of a stage is also a key of its config "
        "(`-c`), with `_` for `-`; a flag wins.",
    ]
    for name, command in leaves():
        parts += ["", f"## {name}", "", (command.help or "").strip(), ""]
        parts += ["| | |", "|---|---|"]
        for parameter in command.params:
            names = " ".join(
                f"`{option}`" for option in [*parameter.opts, *parameter.secondary_opts]
            )
            if parameter.param_type_name == "argument":
                names = f"`{parameter.metavar or parameter.name}`"
            text = (getattr(parameter, "help", None) or "").replace("|", "\\|")
            parts.append(f"| {names} | {text} |")
    return "\n".join(parts) + "\n"


def with_table(readme: str) -> str:
    """The README with its table of commands made anew."""
    made = f"{BEGIN}\n{table()}\n{END}"
    return re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: made, readme, flags=re.DOTALL)


def _first_line(text: str | None) -> str:
    return (text or "").strip().split("\n")[0]


def main() -> None:
    root = Path(__file__).parent.parent.parent
    readme = root / "README.md"
    readme.write_text(with_table(readme.read_text(encoding="utf-8")), encoding="utf-8")
    (root / "docs" / "commands.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
