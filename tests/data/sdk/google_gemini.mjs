// The Google Gen AI SDK for JavaScript: generated contents.

import { ApiError, GoogleGenAI } from "@google/genai";
import {
  CUT, HELLO, KEY, MODEL, PARAMETERS, TIMEOUT_MS, URL, WEATHERS, refused, run, sum, usual, weather,
} from "./scenarios.mjs";

const connect = (apiKey) =>
  new GoogleGenAI({ apiKey, httpOptions: { baseUrl: URL, timeout: TIMEOUT_MS, retryOptions: { attempts: 1 } } });
const { models } = connect(KEY);
const DECLARED = { name: "weather", description: "The weather in a city.", parametersJsonSchema: PARAMETERS };
const config = { tools: [{ functionDeclarations: [DECLARED] }] };

const request = (prompt, more) => ({ model: MODEL, contents: [{ role: "user", parts: [{ text: prompt }] }], ...more });
const parts = (response) => response.candidates[0].content?.parts ?? [];

function told(answers, more) {
  const usages = answers.map((response) => response.usageMetadata);
  const cached = sum(usages.map((usage) => usage.cachedContentTokenCount));
  return {
    text: parts(answers.at(-1)).map((part) => part.text ?? "").join(""),
    stop: answers[0].candidates[0].finishReason,
    input: sum(usages.map((usage) => usage.promptTokenCount)) - cached,
    cached,
    output: sum(usages.map((usage) => usage.candidatesTokenCount)),
    ...more,
  };
}

const functionCalls = (response) => parts(response).flatMap((part) => part.functionCall ?? []);
const calls = (response) => functionCalls(response).map((call) => [call.name, call.args]);

// The request that goes on from an answer whose calls were made.
function withResults(prompt, response) {
  const results = functionCalls(response).map(({ id, name, args }) => ({
    functionResponse: { id, name, response: { output: weather(args) } },
  }));
  const turns = [{ role: "model", parts: parts(response) }, { role: "user", parts: results }];
  return request(prompt, { config, contents: [...request(prompt).contents, ...turns] });
}

// The last chunk of a stream with the parts of all, and the pieces of text.
async function gathered(body) {
  const all = [];
  let last;
  for await (const chunk of await models.generateContentStream(body)) {
    all.push(...parts(chunk));
    last = chunk;
  }
  last.candidates[0].content = { role: "model", parts: all };
  return [last, all.flatMap((part) => part.text || [])];
}

const error = (call) => refused(ApiError, call);

await run({
  ...usual({
    request,
    withTool: { config },
    withResults,
    create: (body) => models.generateContent(body),
    stranger: (body) => connect("sk-wrong").models.generateContent(body),
    told,
    calls,
    error,
  }),
  stream: async () => {
    const [response, pieces] = await gathered(request(HELLO));
    return told([response], { pieces });
  },
  stream_tools: async () => {
    const [asked] = await gathered(request(WEATHERS, { config }));
    const [answered] = await gathered(withResults(WEATHERS, asked));
    return told([asked, answered], { calls: calls(asked) });
  },
  models: async () => {
    const listed = [];
    for await (const model of await models.list()) listed.push(model.name.replace("models/", ""));
    return { listed, found: (await models.get({ model: MODEL })).name.replace("models/", "") };
  },
  count: async () => (await models.countTokens(request(HELLO))).totalTokens,
  cut: () => error(() => gathered(request(CUT))),
});
