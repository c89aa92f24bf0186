"""The Google Gen AI SDK for Python: generated contents."""

from google import genai
from google.genai import errors, types
from scenarios import *


def connect(key):
    retries = types.HttpRetryOptions(attempts=1)
    options = types.HttpOptions(base_url=URL, timeout=TIMEOUT_S * 1000, retry_options=retries)
    return genai.Client(api_key=key, http_options=options)


client, stranger = connect(KEY), connect("sk-wrong")
DECLARED = {"name": "weather", "description": "The weather in a city.", "parameters_json_schema": PARAMETERS}
TOOLS = types.GenerateContentConfig(tools=[types.Tool(function_declarations=[DECLARED])])


def request(prompt, **more):
    return {"model": Asked.model, "contents": [types.Content(role="user", parts=[types.Part(text=prompt)])]} | more


def parts(response):
    content = response.candidates[0].content
    return content.parts or [] if content else []


def told(*responses, **more):
    usages = [response.usage_metadata for response in responses]
    cached = sum(usage.cached_content_token_count for usage in usages)
    return {
        "text": "".join(part.text or "" for part in parts(responses[-1])),
        "stop": responses[0].candidates[0].finish_reason.value,
        "input": sum(usage.prompt_token_count for usage in usages) - cached,
        "cached": cached,
        "output": sum(usage.candidates_token_count for usage in usages),
    } | more


def function_calls(response):
    return [part.function_call for part in parts(response) if part.function_call]


def calls(response):
    return [[call.name, call.args] for call in function_calls(response)]


def with_results(prompt, response):
    """The request that goes on from an answer whose calls were made."""
    results = [
        types.FunctionResponse(id=call.id, name=call.name, response={"output": weather(call.args)})
        for call in function_calls(response)
    ]
    turns = [
        types.Content(role="model", parts=parts(response)),
        types.Content(role="user", parts=[types.Part(function_response=result) for result in results]),
    ]
    return request(prompt, config=TOOLS, contents=request(prompt)["contents"] + turns)


def gathered(request):
    """The last chunk of a stream with the parts of all, and the pieces of text."""
    chunks = list(client.models.generate_content_stream(**request))
    said = [part for chunk in chunks for part in parts(chunk)]
    chunks[-1].candidates[0].content = types.Content(role="model", parts=said)
    return chunks[-1], [part.text for part in said if part.text]


def stream():
    response, pieces = gathered(request(HELLO))
    return told(response, pieces=pieces)


def stream_tools():
    asked, _ = gathered(request(WEATHERS, config=TOOLS))
    answered, _ = gathered(with_results(WEATHERS, asked))
    return told(asked, answered, calls=calls(asked))


def models():
    listed = [model.name.removeprefix("models/") for model in client.models.list()]
    return {"listed": listed, "found": client.models.get(model=Asked.model).name.removeprefix("models/")}


def count():
    return client.models.count_tokens(**request(HELLO)).total_tokens


def error(call):
    return refused(errors.APIError, call)


USUAL = usual(
    request=request,
    with_tool={"config": TOOLS},
    with_results=with_results,
    create=client.models.generate_content,
    stranger=stranger.models.generate_content,
    told=told,
    calls=calls,
    error=error,
)
run(USUAL | {
    "stream": stream,
    "stream_tools": stream_tools,
    "models": models,
    "count": count,
    "cut": lambda: error(lambda: gathered(request(CUT))),
})
