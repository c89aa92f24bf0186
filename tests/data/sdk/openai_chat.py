"""The OpenAI SDK for Python: chat completions."""

import json

import openai
from scenarios import *

client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0, timeout=TIMEOUT_S)
FUNCTION = {"name": "weather", "description": "The weather in a city.", "parameters": PARAMETERS, "strict": True}
TOOLS = [{"type": "function", "function": FUNCTION}]
COUNTED = {"stream_options": {"include_usage": True}}


def request(prompt, **more):
    return {"model": Asked.model, "messages": [{"role": "user", "content": prompt}]} | more


def told(*completions, **more):
    usages = [completion.usage for completion in completions]
    cached = sum(usage.prompt_tokens_details.cached_tokens for usage in usages)
    return {
        "text": completions[-1].choices[0].message.content,
        "stop": completions[0].choices[0].finish_reason,
        "input": sum(usage.prompt_tokens for usage in usages) - cached,
        "cached": cached,
        "output": sum(usage.completion_tokens for usage in usages),
    } | more


def calls(completion):
    found = completion.choices[0].message.tool_calls
    return [[call.function.name, json.loads(call.function.arguments)] for call in found]


def with_results(prompt, completion):
    """The request that goes on from a message whose calls were made."""
    message = completion.choices[0].message
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": weather(json.loads(call.function.arguments))}
        for call in message.tool_calls
    ]
    return request(prompt, tools=TOOLS, messages=[*request(prompt)["messages"], message, *results])


def stream():
    with client.chat.completions.stream(**request(HELLO), **COUNTED) as stream:
        pieces = [event.delta for event in stream if event.type == "content.delta"]
        completion = stream.get_final_completion()
    return told(completion, pieces=pieces)


def stream_tools():
    with client.chat.completions.stream(**request(WEATHERS, tools=TOOLS), **COUNTED) as stream:
        pieces = [event.arguments_delta for event in stream if event.type == "tool_calls.function.arguments.delta"]
        asked = stream.get_final_completion()
    with client.chat.completions.stream(**with_results(WEATHERS, asked), **COUNTED) as stream:
        answered = stream.get_final_completion()
    return told(asked, answered, calls=calls(asked), pieces=pieces)


def error(call):
    return refused(openai.APIError, call)


def cut():
    def call():
        with client.chat.completions.stream(**request(CUT)) as stream:
            stream.get_final_completion()

    return error(call)


USUAL = usual(
    request=request,
    with_tool={"tools": TOOLS},
    with_results=with_results,
    create=client.chat.completions.create,
    stranger=client.with_options(api_key="sk-wrong").chat.completions.create,
    told=told,
    calls=calls,
    error=error,
)
run(USUAL | {
    "stream": stream,
    "stream_tools": stream_tools,
    "models": lambda: listed(client.models),
    "cut": cut,
})
