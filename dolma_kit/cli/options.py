"""Flags made of config structs: a stage's keys, types and help text are written once, there."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
import typer
from typer.core import TyperCommand

from dolma_kit import config
from dolma_kit.errors import ConfigError
from dolma_kit.specs import split_specs

ConfigFile = Annotated[
    str | None,
    typer.Option(
        "-c", "--config", metavar="FILE|NAME", help="Read the keys from a config; flags win."
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print the resolved config and the plan, do nothing.")
]
Traceback = Annotated[
    bool, typer.Option("--traceback", help="Show where an error came from.", show_default=False)
]


def command_for(
    kind: type[msgspec.Struct], call: Callable[[Any, bool], None], *, has_others: bool = False
) -> Callable[..., None]:
    """A Typer command whose flags are the keys of `kind`; `call` gets the struct and `dry_run`.

    With `has_others` it is that of a group, and leaves the work to the group's commands where one
    of those is asked for.
    """
    fields = {f.name: f for f in msgspec.structs.fields(kind)}
    flags = {name: _parameter(f) for name, f in fields.items() if _extra(f).get("flag", True)}

    def command(**given: Any) -> None:
        path, dry_run = given.pop("config"), given.pop("dry_run")
        given.pop("traceback")
        if has_others and given.pop("context").invoked_subcommand is not None:
            return
        values = config.read(path) if path else {}
        for name, value in given.items():
            if value not in (None, []):
                values[name] = _split(fields[name], value)
        call(config.build(kind, values, where=path or ""), dry_run)

    extra = {
        "config": inspect.Parameter(
            "config", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=ConfigFile
        ),
        "dry_run": inspect.Parameter(
            "dry_run", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=DryRun
        ),
        "traceback": inspect.Parameter(
            "traceback", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Traceback
        ),
    }
    if has_others:
        kept = inspect.Parameter.KEYWORD_ONLY
        extra["context"] = inspect.Parameter("context", kept, annotation=typer.Context)
    # Of arguments, the one that takes all that is left is last.
    takes_rest = {name for name, field in fields.items() if _extra(field).get("argument") is True}
    parameters = sorted({**flags, **extra}.values(), key=lambda p: p.name in takes_rest)
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__doc__ = inspect.getdoc(kind)
    return command


def takes_many(kind: type[msgspec.Struct]) -> type[TyperCommand]:
    """The class of a command whose flags of documents take every value that follows, so that a
    pattern which the shell has expanded means what it says. Such a command has no arguments."""
    many = {
        "--" + f.name.replace("_", "-")
        for f in msgspec.structs.fields(kind)
        if _extra(f).get("many")
    }

    class Command(TyperCommand):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            spelled: list[str] = []
            flag = None  # the one that the next value belongs to, if it is not there already
            for argument in args:
                if argument.startswith("-") and argument != "-":
                    name = argument.partition("=")[0]
                    flag = name if name in many else None
                    spelled.append(argument)
                elif flag is not None and spelled[-1] != flag:
                    spelled += [flag, argument]
                else:
                    spelled.append(argument)
            return super().parse_args(ctx, spelled)

    return Command


def _extra(field: msgspec.structs.FieldInfo) -> dict[str, Any]:
    meta = _meta(field.type)
    return (meta.extra or {}) if meta else {}


def _meta(annotation: Any) -> msgspec.Meta | None:
    if typing.get_origin(annotation) is Annotated:
        # Of nested ones, like Annotated[Count, Meta(...)], the outermost is last.
        found = [m for m in annotation.__metadata__ if isinstance(m, msgspec.Meta)]
        return found[-1] if found else None
    return None


def _parameter(field: msgspec.structs.FieldInfo) -> inspect.Parameter:
    meta = _meta(field.type)
    default = None if field.default is msgspec.NODEFAULT else field.default
    help_text = (meta.description if meta else None) or ""
    if default not in (None, "", False) and "default" not in help_text:
        help_text += f" [default: {_shown(default)}]"
    plain = _plain(field.type)
    annotation: Any
    if name := _extra(field).get("argument"):
        metavar = _extra(field).get("metavar", "DOCS...") if name is True else name
        argument = typer.Argument(metavar=metavar, help=help_text, show_default=False)
        annotation = Annotated[(list[str] if name is True else str) | None, argument]
    else:
        flag = "--" + field.name.replace("_", "-")
        # A switch that is on by default is turned off by --no-..., and the other way round.
        names = [f"{flag}/--no-{flag[2:]}"] if plain is bool else [flag]
        annotation = Annotated[
            plain | None,
            typer.Option(
                *names, help=help_text, show_default=False, metavar=_metavar(field, plain)
            ),
        ]
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def _shown(default: Any) -> str:
    if isinstance(default, str) and not default.isprintable():
        return repr(default)  # a line feed would be seen as nothing
    return "yes" if default is True else str(default)


def _metavar(field: msgspec.structs.FieldInfo, plain: Any) -> str | None:
    """What `--help` shows for a value; Typer's own word for a choice or a switch."""
    if _extra(field).get("files"):
        return str(_extra(field).get("metavar", "FILE"))
    names = {int: "N", float: "X", str: "TEXT", list[str]: "A,B"}
    return names.get(plain)


def _plain(annotation: Any) -> Any:
    """What Typer should parse: int, float, str, bool, a Literal, or a list of strings."""
    if typing.get_origin(annotation) is Annotated:
        return _plain(annotation.__origin__)
    if typing.get_origin(annotation) is list:
        return list[str]
    if typing.get_origin(annotation) is Literal:
        return annotation
    arguments = [a for a in typing.get_args(annotation) if a is not type(None)]
    return _plain(arguments[0]) if arguments else annotation


def _split(field: msgspec.structs.FieldInfo, value: Any) -> Any:
    """`--taggers a,b` and `--taggers a --taggers b` are the same; paths are not split."""
    if isinstance(value, str) and typing.get_origin(_unannotated(field.type)) is list:
        value = [value]  # an argument
    if not isinstance(value, list) or _extra(field).get("files") or field.name == "documents":
        return value
    items = [item for text in value for item in split_specs(text)]
    if not _holds_numbers(field.type):
        return items
    flag = "--" + field.name.replace("_", "-")
    try:
        return [int(item) for item in items]
    except ValueError:
        raise ConfigError(f"{flag} {','.join(items)}: numbers, with commas between") from None


def _holds_numbers(annotation: Any) -> bool:
    """Whether a type is a list of numbers."""
    plain = _unannotated(annotation)
    return typing.get_origin(plain) is list and _plain(plain.__args__[0]) is int


def _unannotated(annotation: Any) -> Any:
    is_annotated = typing.get_origin(annotation) is Annotated
    return annotation.__origin__ if is_annotated else annotation
