"""What stands around texts: the templates of roles, the task that queries are for, examples before them."""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from beige.errors import UsageError
from beige.models.checkpoint import Checkpoint
from beige.values import Role


@dataclass(frozen=True, slots=True)
class Example:
    """A query and its answer, put before queries of models that learn from such.

    Attributes:
        query: a question as queries are.
        response: a passage that answers it.
        task: what the query is for, if not the same as the queries that follow.
    """

    query: str
    response: str
    task: str | None = None


def affixes(
    checkpoint: Checkpoint, instruction: str | None, prompt: str | None, examples: Sequence[Example]
) -> Mapping[Role, tuple[str, str]]:
    """What goes before and after a text, by role.

    Args:
        checkpoint: whose templates, tasks and prompts to follow.
        instruction: see `Embedder`.
        prompt: the name of one of the checkpoint's own instructions.
        examples: for models that take such.

    Raises:
        UsageError: there is no such prompt, the model takes no examples, or a template is not understood.
    """
    asked = _instruction(checkpoint, instruction, prompt)
    return {
        "query": _sides(*_instructed(checkpoint, asked, examples)),
        "document": _sides(checkpoint.templates["document"], {}),
    }


def _sides(template: str, values: Mapping[str, str]) -> tuple[str, str]:
    """What goes before and after a text, by a template with `{text}` and placeholders of given values.

    Raises:
        UsageError: another placeholder, a brace alone, or not exactly one `{text}`.
    """
    sides = [""]
    try:
        for literal, field, spec, conversion in string.Formatter().parse(template):
            sides[-1] += literal
            if field == "text":
                sides.append("")
            elif field is not None:
                if field not in values:
                    raise ValueError(f"placeholder {{{field}}}")
                sides[-1] += values[field]
            if spec or conversion:
                raise ValueError(f"format {spec or conversion!r}")
    except ValueError as error:
        hint = "give the task as instruction" if "{task}" in template else "double a brace that is meant as such"
        raise UsageError(f"template {template!r} is not understood ({error}): {hint}") from error
    if len(sides) != 2:
        raise UsageError(f"template {template!r} must have one {{text}}")
    return sides[0], sides[1]


def _instruction(checkpoint: Checkpoint, instruction: str | None, prompt: str | None) -> str | None:
    """The instruction that is given, or named."""
    if prompt is None:
        return instruction
    if instruction is not None:
        raise UsageError("instruction and prompt are both given: take one")
    if prompt not in checkpoint.prompts:
        known = f"only {', '.join(checkpoint.prompts)}" if checkpoint.prompts else "nor any other"
        raise UsageError(f"{checkpoint.name} has no prompt {prompt!r}, {known}")
    return checkpoint.prompts[prompt]


def _instructed(
    checkpoint: Checkpoint, instruction: str | None, examples: Sequence[Example]
) -> tuple[str, dict[str, str]]:
    """The template of queries when the user's instruction and examples are heard, and what goes into it.

    Raises:
        UsageError: the model takes no examples.
    """
    template, card = checkpoint.templates["query"], checkpoint.card
    tasks = tuple(card.tasks.values()) if card else ()
    task = tasks[0] if instruction is None and tasks else instruction
    if instruction is not None and "{text}" in instruction:
        template, task = instruction, None
    elif instruction is not None and "{task}" not in template:
        template, task = instruction + "{text}", None
    if examples and (card is None or "{examples}" not in template):
        raise UsageError(f"{checkpoint.name} takes no examples in its queries")
    values = {} if task is None else {"task": task}
    if card and card.example:
        shown = (
            card.example.format(task=one.task or task or "", query=one.query, response=one.response) for one in examples
        )
        values["examples"] = "".join(f"{text}\n\n" for text in shown)
    return template, values
