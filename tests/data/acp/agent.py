#!/usr/bin/env python3
"""An agent over ACP that does what its prompts say, for tests of what happens around it.

Each prompt is appended to prompts.txt in its working directory. `count N` is a turn that used N tokens of input and one of
output, `wait for F` one that lasts until the file F is there; in all others the agent does not count.
"""

import json
import os
import sys
import time


def send(message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def prompt(request):
    text = "".join(part.get("text", "") for part in request["params"]["prompt"])
    with open("prompts.txt", "a", encoding="utf-8") as kept:
        kept.write(text + "\n")
    session = request["params"]["sessionId"]
    said = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": f"Done: {text}."}}
    send({"method": "session/update", "params": {"sessionId": session, "update": said}})
    result = {"stopReason": "end_turn"}
    words = text.split()
    while words[0] == "wait" and not os.path.exists(words[2]):
        time.sleep(0.02)
    if words[0] == "count":
        result["usage"] = {"inputTokens": int(words[1]), "outputTokens": 1, "totalTokens": int(words[1]) + 1}
    send({"id": request["id"], "result": result})


for line in sys.stdin:
    request = json.loads(line)
    method = request.get("method")
    if method == "initialize":
        send({"id": request["id"], "result": {"protocolVersion": 1, "agentCapabilities": {"loadSession": True}}})
    elif method == "session/new":
        send({"id": request["id"], "result": {"sessionId": "conversation-1"}})
    elif method == "session/load":
        send({"id": request["id"], "result": {}})
    elif method == "session/prompt":
        prompt(request)
    elif "id" in request and method:
        send({"id": request["id"], "error": {"code": -32601, "message": f"no {method} here"}})
