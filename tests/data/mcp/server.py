#!/usr/bin/env python3
"""A server of one tool over MCP on standard input and output: `deploy` writes its target into deployed.txt."""

import json
import sys

TOOL = {
    "name": "deploy",
    "description": "Deploys the service.",
    "inputSchema": {"type": "object", "properties": {"target": {"type": "string"}}, "required": ["target"]},
}

for line in sys.stdin:
    request = json.loads(line)
    method, params = request.get("method"), request.get("params", {})
    if "id" not in request:
        continue
    answer = {"jsonrpc": "2.0", "id": request["id"]}
    if method == "initialize":
        server = {"name": "operations", "version": "1"}
        version = params.get("protocolVersion", "2025-06-18")
        answer["result"] = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": server}
    elif method == "tools/list":
        answer["result"] = {"tools": [TOOL]}
    elif method == "tools/call":
        target = params["arguments"]["target"]
        with open("deployed.txt", "w", encoding="utf-8") as deployed:
            deployed.write(target)
        answer["result"] = {"content": [{"type": "text", "text": f"deployed to {target}"}]}
    elif method == "ping":
        answer["result"] = {}
    else:
        answer["error"] = {"code": -32601, "message": f"no {method} here"}
    print(json.dumps(answer), flush=True)
