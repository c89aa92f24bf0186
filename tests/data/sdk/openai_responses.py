"""The OpenAI SDK for Python: responses."""

import json

import openai
from scenarios import *

client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0, timeout=TIMEOUT_S)
TOOLS = [{
    "type": "function",
    "name": "weather",
    "description": "The weather in a city.",
    "parameters": PARAMETERS,
    "strict": True,
}]


def request(prompt, **more):
    return {"model": Asked.model, "input": [{"role": "user", "content": prompt}]} | more


def told(*responses, **more):
    usages = [response.usage for response in responses]
    cached = sum(usage.input_tokens_details.cached_tokens for usage in usages)
    return {
        "text": responses[-1].output_text,
        "stop": responses[0].status,
        "input": sum(usage.input_tokens for usage in usages) - cached,
        "cached": cached,
        "output": sum(usage.output_tokens for usage in usages),
    } | more


def function_calls(response):
    return [item for item in response.output if item.type == "function_call"]


def calls(response):
    return [[call.name, json.loads(call.arguments)] for call in function_calls(response)]


def with_results(prompt, response):
    """The request that goes on from an answer whose calls were made."""
    results = [
        {"type": "function_call_output", "call_id": call.call_id, "output": weather(json.loads(call.arguments))}
        for call in function_calls(response)
    ]
    return request(prompt, tools=TOOLS, input=[*request(prompt)["input"], *response.output, *results])


def stream():
    with client.responses.stream(**request(HELLO)) as stream:
        pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
        response = stream.get_final_response()
    return told(response, pieces=pieces)


def stream_tools():
    with client.responses.stream(**request(WEATHERS, tools=TOOLS)) as stream:
        pieces = [event.delta for event in stream if event.type == "response.function_call_arguments.delta"]
        asked = stream.get_final_response()
    with client.responses.stream(**with_results(WEATHERS, asked)) as stream:
        answered = stream.get_final_response()
    return told(asked, answered, calls=calls(asked), pieces=pieces)


def error(call):
    return refused(openai.APIError, call)


def cut():
    """The SDK raises what comes of the connection; why it broke is told by the last event."""
    said = []

    def call():
        with client.responses.stream(**request(CUT)) as stream:
            said.extend(event.response.error.message for event in stream if event.type == "response.failed")

    return error(call) | {"message": "".join(said)}


USUAL = usual(
    request=request,
    with_tool={"tools": TOOLS},
    with_results=with_results,
    create=client.responses.create,
    stranger=client.with_options(api_key="sk-wrong").responses.create,
    told=told,
    calls=calls,
    error=error,
)
run(USUAL | {
    "stream": stream,
    "stream_tools": stream_tools,
    "cut": cut,
})
