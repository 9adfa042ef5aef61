"""Secrets stay out of the config, since its options of language models stand in command lines and in tables.

Any user of a machine can read its command lines. A secret belongs in an environment variable: the config names the variable
of an API key, and a server that RefRad starts inherits all variables. No message of this module shows a value.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

__all__ = [
    "check_arguments",
    "check_endpoint",
    "check_extra",
    "check_key_file",
    "check_model",
    "check_settings",
    "check_variable",
    "is_secret",
]

# A word of the name of an environment variable: capitals and at most one number. A token of random letters and digits is none.
VARIABLE_WORD = re.compile(r"[A-Z]{1,20}|[A-Z]{0,12}[0-9]{1,4}[A-Z]{0,12}")
LONGEST_NAME = 60  # characters
# Settings of vLLM and its libraries. Their values are no secrets.
SETTINGS = re.compile(
    r"(?:VLLM|CUDA|NCCL|OMP|TORCH|TORCHINDUCTOR|PYTORCH|TRITON|HF|TRANSFORMERS|TOKENIZERS|TIKTOKEN|ROCM|HIP|RAY)_[A-Z0-9_]+"
    r"|PATH|PYTHONPATH|LD_LIBRARY_PATH|TMPDIR"
)
# Ends of names that hold secrets, in any spelling: HF_TOKEN, --api-key, apiKey, password.
SECRET_NAME = re.compile(
    r"(?:^|[^a-z])(?:(?:(?:api|access|auth|master|private|secret|subscription)[^a-z]?)?key"
    r"|(?:(?:access|api|auth|bearer|hf|hub|id|refresh|session)[^a-z]?)?token"
    r"|secret|auth|pass(?:word|wd|phrase)?|credentials?|authorization|bearer|cookie)$"
)
HARMLESS_NAME = re.compile(r"(?:[^a-z]|^)(?:cache[^a-z]?key|stop[^a-z]?token)$")
# Tokens that are known by their beginnings, wherever they stand.
TOKEN = re.compile(
    r"\b(?:[spr]k[-_][\w-]{8,}|hf_\w{8,}|gh[opsru]_\w{8,}|github_pat_\w{8,}|glpat-[\w-]{8,}|xox[a-z]-[\w-]{8,}"
    r"|gsk_\w{16,}|nvapi-[\w-]{8,}|AIza[\w-]{20,}|(?:AKIA|ASIA)[A-Z0-9]{16}|ya29\.[\w-]{8,}|SG\.[\w-]{8,}\.[\w-]+"
    r"|key-[0-9a-z]{24,}|eyJ[\w-]{4,}\.[\w-]+|(?i:bearer)\s+\S{8,}|(?i:basic)\s+[\w+/=]{8,}"
    r"|[A-Za-z0-9+/]{16,}={1,2}(?![\w=]))"  # base64 of bytes that are no multiple of three
)
HEXADECIMAL = re.compile(r"[0-9A-Fa-f]{32,}")  # of 16 bytes or more
LOGIN = re.compile(r"\w+://[^/?#\s]*@|^[^/?#\s]*:[^/?#\s]*@")
INHERITED = "set the variable in the shell that starts the run, since the server inherits it"
NAMED = "name the environment variable of an API key in `key`"


def check_variable(name: str) -> str:
    """`name`, if it can be the name of an environment variable and is no pasted key.

    Raises:
        ValueError: if it is not; the message does not show it.
    """
    if not _is_variable(name):
        raise ValueError(
            "must be the name of an environment variable in capitals, such as LLM_KEY; the key itself belongs into that"
            " variable"
        )
    return name


def check_endpoint(address: str) -> str:
    """`address`, if it holds no user, password or query, where keys may stand.

    Raises:
        ValueError: if it does; the message does not show it.
    """
    try:
        parts = urlsplit(address)
    except ValueError:
        raise ValueError("must be an address such as http://gpu07:8000/v1") from None
    if "@" in address:
        raise ValueError(f"must be an address without user and password; {NAMED}")
    if parts.query or parts.fragment or TOKEN.search(address):
        raise ValueError(f"must be an address without a query; {NAMED}")
    return address


def check_model(name: str) -> str:
    """`name` of a model or folder, if it is no pasted secret.

    Raises:
        ValueError: if it may be one; the message does not show it.
    """
    if is_secret(name):
        raise ValueError(f"must be the name or the folder of a model; {NAMED}")
    return name


def check_key_file(name: str) -> str:
    """`name` of the file that holds the key of the pseudonyms, if it is not that key.

    Raises:
        ValueError: if it may be one; the message does not show it.
    """
    if is_secret(name) or HEXADECIMAL.fullmatch(name):
        raise ValueError("must be the name of a file, such as private/key; the key itself is in that file alone")
    return name


def check_settings(settings: dict[str, str]) -> dict[str, str]:
    """`settings`, the environment of a server, if they are settings of vLLM and its libraries and hold no secret.

    Raises:
        ValueError: if a value may be a secret; the message does not show it.
    """
    for name, value in settings.items():
        if not SETTINGS.fullmatch(name):
            named = f"no {name}" if _is_variable(name) else "no other variable"
            raise ValueError(f"takes settings of vLLM, such as VLLM_CPU_KVCACHE_SPACE, and {named}; {INHERITED}")
        if _names_secret(name) or is_secret(value):
            raise ValueError(f"takes no secret, but {name} may be one; {INHERITED}")
    return settings


def check_arguments(arguments: list[str]) -> list[str]:
    """`arguments` of the command of a server, if none may be a secret.

    Raises:
        ValueError: if one may be a secret; the message does not show it.
    """
    for argument in arguments:
        flag = argument.split("=", 1)[0].split(" ", 1)[0]
        if argument.startswith("-") and _names_secret(flag):
            raise ValueError(f"takes no secret, but {flag} may be one; {INHERITED}")
        if is_secret(argument):
            raise ValueError(f"takes no secret, but one of them may be one; {INHERITED}")
    return arguments


def check_extra(fields: dict[str, Any]) -> dict[str, Any]:
    """`fields` of a request, if none may hold a secret, at any depth.

    Raises:
        ValueError: if one may hold a secret; the message does not show it.
    """
    for name, value in _fields_of(fields):
        if is_secret(name):
            raise ValueError(f"takes no secret, but the name of a field may be one; {NAMED}")
        if _names_secret(name) or (isinstance(value, str) and is_secret(value)):
            raise ValueError(f"takes no secret, but {name or 'a field'} may be one; {NAMED}")
    return fields


def _fields_of(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The name and value of each field at any depth; items of a list have no name."""
    yield name, value
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _fields_of(inner, str(key))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for inner in value:
            yield from _fields_of(inner)


def _is_variable(name: str) -> bool:
    words = [word for word in name.split("_") if word]
    plain = bool(words) and not name[0].isdigit() and len(name) <= LONGEST_NAME
    return plain and all(VARIABLE_WORD.fullmatch(word) for word in words) and not is_secret(name)


def _names_secret(name: str) -> bool:
    spelling = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    return bool(SECRET_NAME.search(spelling)) and not HARMLESS_NAME.search(spelling)


def is_secret(text: str) -> bool:
    """Whether a known kind of token, or a user and password in an address, is in a text."""
    return bool(TOKEN.search(text) or LOGIN.search(text))
