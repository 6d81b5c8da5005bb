"""Questions written by a language model behind OpenAI's routes."""

from contextlib import ExitStack

from beige.errors import RemoteError, UsageError
from beige.evaluate.remote import endpoint_of, name_of
from beige.evaluate.sample import Write
from beige.evaluate.systems import Model, System

_PROMPT = (
    "Write one question that a person who has never seen the passage below might type into a search box, and that the "
    "passage answers. Use other words than the passage where you can, and the passage's language. Answer with the "
    "question alone.\n\nPassage:\n"
)
_LONGEST = 6000  # characters of a passage


def writer(spelling: str, stack: ExitStack) -> Write:
    """What writes a question for a passage.

    Args:
        spelling: `http://host/v1#model` or `openai:model`.
        stack: closes the connection.

    Raises:
        UsageError: no such spelling.
        RemoteError: a key is missing.
    """
    model = _chat_model(spelling)
    endpoint = endpoint_of(model)
    stack.callback(endpoint.close)

    def write(passage: str) -> str:
        body = {"model": model.name, "messages": [{"role": "user", "content": _PROMPT + passage[:_LONGEST]}]}
        answer = endpoint.post("/chat/completions", body)
        try:
            question = str(answer["choices"][0]["message"]["content"]).strip().strip('"')
        except (KeyError, IndexError, TypeError) as error:
            raise RemoteError(f"{name_of(model)} gave an answer that is no chat completion") from error
        if not question:
            raise RemoteError(f"{name_of(model)} wrote nothing")
        return " ".join(question.split())

    return write


def _chat_model(spelling: str) -> Model:
    model = System.parse(spelling).model
    if model is None or model.runner not in {"server", "openai"}:
        raise UsageError(f"--llm {spelling}: write http://host/v1#MODEL or openai:MODEL")
    return model
