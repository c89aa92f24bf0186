// The Anthropic SDK for JavaScript: messages.

import Anthropic from "@anthropic-ai/sdk";
import {
  CUT, HELLO, KEY, MODEL, PARAMETERS, TIMEOUT_MS, URL, WEATHERS, listed, refused, run, sum, usual, weather,
} from "./scenarios.mjs";

const connect = (apiKey) => new Anthropic({ baseURL: URL, apiKey, maxRetries: 0, timeout: TIMEOUT_MS });
const client = connect(KEY);
const TOOLS = [{ name: "weather", description: "The weather in a city.", input_schema: PARAMETERS }];

const request = (prompt, more) => ({
  model: MODEL,
  max_tokens: 500,
  messages: [{ role: "user", content: prompt }],
  ...more,
});

const told = (messages, more) => ({
  text: messages.at(-1).content.filter((block) => block.type === "text").map((block) => block.text).join(""),
  stop: messages[0].stop_reason,
  input: sum(messages.map((message) => message.usage.input_tokens)),
  cached: sum(messages.map((message) => message.usage.cache_read_input_tokens)),
  output: sum(messages.map((message) => message.usage.output_tokens)),
  ...more,
});

const toolUses = (message) => message.content.filter((block) => block.type === "tool_use");
const calls = (message) => toolUses(message).map((call) => [call.name, call.input]);

// The request that goes on from a message whose calls were made.
function withResults(prompt, message) {
  const results = toolUses(message).map((call) => ({ type: "tool_result", tool_use_id: call.id, content: weather(call.input) }));
  const { messages } = request(prompt);
  messages.push({ role: "assistant", content: message.content }, { role: "user", content: results });
  return request(prompt, { tools: TOOLS, messages });
}

const error = (call) => refused(Anthropic.APIError, call);

await run({
  ...usual({
    request,
    withTool: { tools: TOOLS },
    withResults,
    create: (body) => client.messages.create(body),
    stranger: (body) => connect("sk-wrong").messages.create(body),
    told,
    calls,
    error,
  }),
  stream: async () => {
    const pieces = [];
    const stream = client.messages.stream(request(HELLO)).on("text", (text) => pieces.push(text));
    return told([await stream.finalMessage()], { pieces });
  },
  stream_tools: async () => {
    const pieces = [];
    const stream = client.messages.stream(request(WEATHERS, { tools: TOOLS })).on("inputJson", (piece) => pieces.push(piece));
    const asked = await stream.finalMessage();
    const answered = await client.messages.stream(withResults(WEATHERS, asked)).finalMessage();
    return told([asked, answered], { calls: calls(asked), pieces });
  },
  models: () => listed(client.models),
  count: async () => {
    const { messages } = request(HELLO);
    return (await client.messages.countTokens({ model: MODEL, messages })).input_tokens;
  },
  cut: () => error(() => client.messages.stream(request(CUT)).finalMessage()),
});
