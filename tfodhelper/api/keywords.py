"""Functions whose keyword arguments are the fields of an options class: the only place that lists them."""

import dataclasses
import difflib
import functools
import inspect
import re
import textwrap
import typing
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from tfodhelper import options as option_fields

P = ParamSpec("P")
Options = TypeVar("Options")
Result = TypeVar("Result")

_WIDTH = 100
_SECTION = re.compile(r"^(Returns|Yields|Raises):", re.MULTILINE)


def takes_fields_of(options: Callable[P, Options]) -> Callable[[Callable[[Options], Result]], Callable[P, Result]]:
    """Turns a function of an options object into a function of keyword arguments.

        @takes_fields_of(ConvertOptions)
        def convert(options: ConvertOptions) -> ConvertResult:
            ...

        convert(data_dir="photos", output_dir="data")

    Type checkers see the constructor's parameters; `inspect.signature` and `help` show them with their defaults, and
    the docstring gets a section "Args" with the descriptions of the fields.

    Args:
      options: a dataclass derived from `tfodhelper.options.Options`.

    Returns:
      A decorator.
    """

    def decorate(function: Callable[[Options], Result]) -> Callable[P, Result]:
        hints = typing.get_type_hints(options)
        signature = inspect.signature(options)
        parameters = [each.replace(annotation=hints[each.name]) for each in signature.parameters.values()]
        result = typing.get_type_hints(function)["return"]

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> Result:
            _check_names(function.__name__, signature, args, kwargs)
            return function(options(*args, **kwargs))

        described: Any = call
        described.__signature__ = inspect.Signature(parameters, return_annotation=result)
        described.__annotations__ = {each.name: each.annotation for each in parameters} | {"return": result}
        described.__doc__ = _with_args(inspect.getdoc(function) or "", _describe(options))
        del described.__wrapped__  # its signature has the parameter `options`
        return call

    return decorate


def _check_names(name: str, signature: inspect.Signature, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
    """Raises TypeError in the name of the function, instead of the constructor's, with the nearest argument."""
    text = ""
    unknown = next((key for key in kwargs if key not in signature.parameters), None)
    if unknown is not None:
        near = difflib.get_close_matches(unknown, signature.parameters, n=1)
        text = f"got an unexpected keyword argument {unknown!r}" + (f"; did you mean {near[0]!r}?" if near else "")
    elif args:
        text = f"takes keyword arguments only, as in {name}({next(iter(signature.parameters))}=...)"
    else:
        missing = [
            key for key, each in signature.parameters.items() if each.default is each.empty and key not in kwargs
        ]
        text = "is missing " + ", ".join(missing) if missing else ""
    if text:
        raise TypeError(f"tfodhelper.{name}() {text}")


def _describe(options: Any) -> str:
    """The section "Args" of a docstring, with all fields of an options class."""
    described = option_fields.options_of(options)
    names = {each.flag: each.name for each in described}
    texts = {each.name: _explain(each) for each in described}
    plain = [each.name for each in dataclasses.fields(options) if each.name not in texts]
    texts |= {name: text for name in plain if (text := _find_attribute(options, name))}
    lines = []
    for name, text in texts.items():
        text = re.sub(r"--(\w+)", lambda match: f"`{names.get(match[1], match[1])}`", f"{name}: {text}")
        lines.append(textwrap.fill(text, _WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False))
    return "\n".join(["Args:", *lines])


def _explain(option: Any) -> str:
    """What an option means, with its choices."""
    text: str = option.text.rstrip()
    if isinstance(option.choices, dict):
        return text + " " + "; ".join(f'"{choice}": {meaning}' for choice, meaning in option.choices.items()) + "."
    return text + (" One of " + ", ".join(f'"{choice}"' for choice in option.choices) + "." if option.choices else "")


def _find_attribute(options: Any, name: str) -> str | None:
    """The description of a field without a flag, from the docstring of the class that defines it."""
    for base in options.__mro__:
        match = re.search(rf"^  {name}: (.*(?:\n    .*)*)", inspect.getdoc(base) or "", re.MULTILINE)
        if match:
            text = " ".join(match[1].split())
            return text[0].upper() + text[1:]
    return None


def _with_args(doc: str, args: str) -> str:
    """The docstring with the section before "Returns", "Yields" or "Raises", or at its end; one that exists follows."""
    heading = "Args:\n"
    before, has_args, own = doc.partition("\n" + heading)
    if has_args:
        return f"{before}\n{args}\n{own}"
    section = _SECTION.search(doc)
    if section is None:
        return f"{doc.rstrip()}\n\n{args}\n"
    return f"{doc[: section.start()].rstrip()}\n\n{args}\n\n{doc[section.start() :]}"
