"""The Anthropic SDK for Python: messages."""

import anthropic
from scenarios import *

client = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0, timeout=TIMEOUT_S)
TOOLS = [{"name": "weather", "description": "The weather in a city.", "input_schema": PARAMETERS}]


def request(prompt, **more):
    return {"model": Asked.model, "max_tokens": 500, "messages": [{"role": "user", "content": prompt}]} | more


def told(*messages, **more):
    usages = [message.usage for message in messages]
    return {
        "text": "".join(block.text for block in messages[-1].content if block.type == "text"),
        "stop": messages[0].stop_reason,
        "input": sum(usage.input_tokens for usage in usages),
        "cached": sum(usage.cache_read_input_tokens for usage in usages),
        "output": sum(usage.output_tokens for usage in usages),
    } | more


def tool_uses(message):
    return [block for block in message.content if block.type == "tool_use"]


def calls(message):
    return [[call.name, call.input] for call in tool_uses(message)]


def with_results(prompt, message):
    """The request that goes on from a message whose calls were made."""
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": weather(call.input)} for call in tool_uses(message)]
    turns = [{"role": "assistant", "content": message.content}, {"role": "user", "content": results}]
    return request(prompt, tools=TOOLS, messages=request(prompt)["messages"] + turns)


def stream():
    with client.messages.stream(**request(HELLO)) as stream:
        pieces = list(stream.text_stream)
        message = stream.get_final_message()
    return told(message, pieces=pieces)


def stream_tools():
    with client.messages.stream(**request(WEATHERS, tools=TOOLS)) as stream:
        pieces = [event.partial_json for event in stream if event.type == "input_json"]
        asked = stream.get_final_message()
    with client.messages.stream(**with_results(WEATHERS, asked)) as stream:
        answered = stream.get_final_message()
    return told(asked, answered, calls=calls(asked), pieces=pieces)


def count():
    return client.messages.count_tokens(model=Asked.model, messages=request(HELLO)["messages"]).input_tokens


def error(call):
    return refused(anthropic.APIStatusError, call)


def cut():
    def call():
        with client.messages.stream(**request(CUT)) as stream:
            stream.get_final_message()

    return error(call)


USUAL = usual(
    request=request,
    with_tool={"tools": TOOLS},
    with_results=with_results,
    create=client.messages.create,
    stranger=client.with_options(api_key="sk-wrong").messages.create,
    told=told,
    calls=calls,
    error=error,
)
run(USUAL | {
    "stream": stream,
    "stream_tools": stream_tools,
    "models": lambda: listed(client.models),
    "count": count,
    "cut": cut,
})
