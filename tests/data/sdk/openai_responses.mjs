// The OpenAI SDK for JavaScript: responses.

import OpenAI from "openai";
import { toResponseInputItems } from "openai/lib/responses/ResponseInputItems";
import {
  CUT, HELLO, KEY, MODEL, PARAMETERS, TIMEOUT_MS, URL, WEATHERS, refused, run, sum, usual, weather,
} from "./scenarios.mjs";

const connect = (apiKey) => new OpenAI({ baseURL: `${URL}/v1`, apiKey, maxRetries: 0, timeout: TIMEOUT_MS });
const { responses } = connect(KEY);
const TOOLS = [
  { type: "function", name: "weather", description: "The weather in a city.", parameters: PARAMETERS, strict: true },
];

const request = (prompt, more) => ({ model: MODEL, input: [{ role: "user", content: prompt }], ...more });

function told(answers, more) {
  const usages = answers.map((response) => response.usage);
  const cached = sum(usages.map((usage) => usage.input_tokens_details.cached_tokens));
  return {
    text: answers.at(-1).output_text,
    stop: answers[0].status,
    input: sum(usages.map((usage) => usage.input_tokens)) - cached,
    cached,
    output: sum(usages.map((usage) => usage.output_tokens)),
    ...more,
  };
}

const functionCalls = (response) => response.output.filter((item) => item.type === "function_call");
const calls = (response) => functionCalls(response).map((call) => [call.name, JSON.parse(call.arguments)]);

// The request that goes on from an answer whose calls were made.
function withResults(prompt, response) {
  const results = functionCalls(response).map((call) => ({
    type: "function_call_output",
    call_id: call.call_id,
    output: weather(JSON.parse(call.arguments)),
  }));
  const input = [...request(prompt).input, ...toResponseInputItems(response.output), ...results];
  return request(prompt, { tools: TOOLS, input });
}

// A stream to its end, with the pieces of one sort of event.
async function gathered(body, sort) {
  const stream = responses.stream(body);
  const pieces = [];
  for await (const event of stream) if (event.type === sort) pieces.push(event.delta);
  return [await stream.finalResponse(), pieces];
}

const error = (call) => refused(OpenAI.APIError, call);

await run({
  ...usual({
    request,
    withTool: { tools: TOOLS },
    withResults,
    create: (body) => responses.create(body),
    stranger: (body) => connect("sk-wrong").responses.create(body),
    told,
    calls,
    error,
  }),
  stream: async () => {
    const [response, pieces] = await gathered(request(HELLO), "response.output_text.delta");
    return told([response], { pieces });
  },
  stream_tools: async () => {
    const [asked, pieces] = await gathered(request(WEATHERS, { tools: TOOLS }), "response.function_call_arguments.delta");
    const [answered] = await gathered(withResults(WEATHERS, asked));
    return told([asked, answered], { calls: calls(asked), pieces });
  },
  // The SDK throws what comes of the connection; why it broke is told by the last event.
  cut: async () => {
    const said = [];
    const told = await refused(OpenAI.OpenAIError, async () => {
      for await (const event of responses.stream(request(CUT)))
        if (event.type === "response.failed") said.push(event.response.error.message);
    });
    return { ...told, message: said.join("") };
  },
});
