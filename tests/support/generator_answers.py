"""How the scripted LLM server answers the supplement's questions: with texts out of the questions themselves."""

import re

from tasks.supplement.languages import load_languages


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"(\{\w+\})", template)
    return re.compile("".join(f"(?P<{p[1:-1]}>.*)" if p[:1] == "{" else re.escape(p) for p in parts), re.DOTALL)


_BACK = {language: _pattern(prompts.back) for language, prompts in load_languages().items()}
_FORWARD = {language: _pattern(prompts.forward) for language, prompts in load_languages().items()}


def is_back(user: str) -> bool:
    return any(pattern.fullmatch(user) for pattern in _BACK.values())


def back_forward(system: str, user: str, seed: int) -> str:
    """Answer a back question with the passage's beginning, a forward one with the summary's, no longer than allowed."""
    for pattern in _BACK.values():
        if match := pattern.fullmatch(user):
            return match["passage"][:300]
    for pattern in _FORWARD.values():
        if match := pattern.fullmatch(user):
            return match["summary"][:90] + "?"
    raise ValueError(f"expected a question of the supplement, got {user!r}")
