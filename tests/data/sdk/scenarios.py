"""What the scripts beside this share: prompts, a tool, and how it is told what an SDK saw.

A script is started with names of models and of scenarios, and prints a JSON object with what came of each scenario with each model.
"""

import json
import os
import sys

URL, KEY = os.environ["ORX_URL"], os.environ["ORX_KEY"]
UNKNOWN = "gama"
TIMEOUT_S = 120

HELLO = "Say hello."
WEATHER = "How is the weather in Lisbon?"
WEATHERS = "How is the weather in Lisbon and in Porto?"
REFUSED = "Refuse this."
CUT = "Break off."
TOO_MUCH = "Ask too much."

PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "reason": {"type": "string"}},
    "required": ["city", "reason"],
    "additionalProperties": False,
}


def weather(arguments):
    """What the tool answers."""
    return f"{arguments['city']}: {dict(Lisbon='rain', Porto='sun')[arguments['city']]}"


def refused(sort, call):
    """The error of this sort that a call ends with; another one ends the script."""
    try:
        call()
    except sort as error:
        response = getattr(error, "response", None)
        return {
            "error": type(error).__name__,
            "status": getattr(error, "status_code", None) or getattr(error, "code", None),
            "message": str(error),
            "retry_after": response.headers.get("retry-after") if response is not None else None,
        }
    return {"error": None}


def usual(request, with_tool, with_results, create, stranger, told, calls, error):
    """What is asked of every SDK in the same words. `create` makes a call, `stranger` makes it with a wrong key; `request` is the call of
    a prompt, `with_tool` what it has more where there is a tool, `with_results` the call that goes on with what the tool answered."""

    def tools():
        asked = create(**request(WEATHER, **with_tool))
        answered = create(**with_results(WEATHER, asked))
        return told(asked, answered, calls=calls(asked))

    return {
        "whole": lambda: told(create(**request(HELLO))),
        "tools": tools,
        "wrong_key": lambda: error(lambda: stranger(**request(HELLO))),
        "unknown_model": lambda: error(lambda: create(**request(HELLO, model=UNKNOWN))),
        "bad_request": lambda: error(lambda: create(**request(REFUSED))),
        "rate_limit": lambda: error(lambda: create(**request(TOO_MUCH))),
    }


def listed(models):
    """The models as a client lists them, and one that is looked up."""
    return {"listed": [model.id for model in models.list()], "found": models.retrieve(Asked.model).id}


class Asked:
    """The model that is asked now."""

    model = None


def run(scenarios):
    seen = {}
    for Asked.model in sys.argv[1].split(","):
        seen[Asked.model] = {name: scenarios[name]() for name in sys.argv[2:]}
    print(json.dumps(seen))
