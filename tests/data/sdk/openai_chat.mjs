// The OpenAI SDK for JavaScript: chat completions.

import OpenAI from "openai";
import {
  CUT, HELLO, KEY, MODEL, PARAMETERS, TIMEOUT_MS, URL, WEATHERS, listed, refused, run, sum, usual, weather,
} from "./scenarios.mjs";

const connect = (apiKey) => new OpenAI({ baseURL: `${URL}/v1`, apiKey, maxRetries: 0, timeout: TIMEOUT_MS });
const client = connect(KEY);
const completions = client.chat.completions;
const TOOLS = [
  { type: "function", function: { name: "weather", description: "The weather in a city.", parameters: PARAMETERS, strict: true } },
];
const COUNTED = { stream_options: { include_usage: true } };

const request = (prompt, more) => ({ model: MODEL, messages: [{ role: "user", content: prompt }], ...more });

function told(answers, more) {
  const usages = answers.map((completion) => completion.usage);
  const cached = sum(usages.map((usage) => usage.prompt_tokens_details.cached_tokens));
  return {
    text: answers.at(-1).choices[0].message.content,
    stop: answers[0].choices[0].finish_reason,
    input: sum(usages.map((usage) => usage.prompt_tokens)) - cached,
    cached,
    output: sum(usages.map((usage) => usage.completion_tokens)),
    ...more,
  };
}

const calls = (completion) =>
  completion.choices[0].message.tool_calls.map((call) => [call.function.name, JSON.parse(call.function.arguments)]);

// The request that goes on from a message whose calls were made.
function withResults(prompt, completion) {
  const { message } = completion.choices[0];
  const results = message.tool_calls.map((call) => ({
    role: "tool",
    tool_call_id: call.id,
    content: weather(JSON.parse(call.function.arguments)),
  }));
  return request(prompt, { tools: TOOLS, messages: [...request(prompt).messages, message, ...results] });
}

const error = (call) => refused(OpenAI.APIError, call);

await run({
  ...usual({
    request,
    withTool: { tools: TOOLS },
    withResults,
    create: (body) => completions.create(body),
    stranger: (body) => connect("sk-wrong").chat.completions.create(body),
    told,
    calls,
    error,
  }),
  stream: async () => {
    const pieces = [];
    const stream = completions.stream(request(HELLO, COUNTED)).on("content", (piece) => pieces.push(piece));
    return told([await stream.finalChatCompletion()], { pieces });
  },
  stream_tools: async () => {
    const pieces = [];
    const stream = completions
      .stream(request(WEATHERS, { tools: TOOLS, ...COUNTED }))
      .on("tool_calls.function.arguments.delta", (event) => pieces.push(event.arguments_delta));
    const asked = await stream.finalChatCompletion();
    const answered = await completions.stream({ ...withResults(WEATHERS, asked), ...COUNTED }).finalChatCompletion();
    return told([asked, answered], { calls: calls(asked), pieces });
  },
  models: () => listed(client.models),
  cut: () => error(() => completions.stream(request(CUT)).finalChatCompletion()),
});
