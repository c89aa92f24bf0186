// What the scripts beside this share: prompts, a tool, and how it is told what an SDK saw.
//
// A script is started with names of models and of scenarios, and prints a JSON object with what came of each scenario with each model.

export const { ORX_URL: URL, ORX_KEY: KEY } = process.env;
export const UNKNOWN = "gama";
export const TIMEOUT_MS = 120_000;

export const HELLO = "Say hello.";
export const WEATHER = "How is the weather in Lisbon?";
export const WEATHERS = "How is the weather in Lisbon and in Porto?";
export const REFUSED = "Refuse this.";
export const CUT = "Break off.";
export const TOO_MUCH = "Ask too much.";

export const PARAMETERS = {
  type: "object",
  properties: { city: { type: "string" }, reason: { type: "string" } },
  required: ["city", "reason"],
  additionalProperties: false,
};

export const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

// What the tool answers.
export function weather({ city }) {
  const sky = { Lisbon: "rain", Porto: "sun" }[city];
  if (!sky) throw new Error(`the tool was asked for ${city}`);
  return `${city}: ${sky}`;
}

// The error of this sort that a call ends with; another one ends the script.
export async function refused(sort, call) {
  try {
    await call();
  } catch (error) {
    if (!(error instanceof sort)) throw error;
    const retryAfter = error.headers?.get("retry-after") ?? null;
    return { error: error.constructor.name, status: error.status ?? null, message: error.message, retry_after: retryAfter };
  }
  return { error: null };
}

// What is asked of every SDK in the same words. `create` makes a call, `stranger` makes it with a wrong key; `request` is the call of a
// prompt, `withTool` what it has more where there is a tool, `withResults` the call that goes on with what the tool answered.
export const usual = ({ request, withTool, withResults, create, stranger, told, calls, error }) => ({
  whole: async () => told([await create(request(HELLO))]),
  tools: async () => {
    const asked = await create(request(WEATHER, withTool));
    const answered = await create(withResults(WEATHER, asked));
    return told([asked, answered], { calls: calls(asked) });
  },
  wrong_key: () => error(() => stranger(request(HELLO))),
  unknown_model: () => error(() => create(request(HELLO, { model: UNKNOWN }))),
  bad_request: () => error(() => create(request(REFUSED))),
  rate_limit: () => error(() => create(request(TOO_MUCH))),
});

// The models as a client lists them, and one that is looked up.
export async function listed(models) {
  const listed = [];
  for await (const model of models.list()) listed.push(model.id);
  return { listed, found: (await models.retrieve(MODEL)).id };
}

// The model that is asked now.
export let MODEL;

export async function run(scenarios) {
  const [models, ...names] = process.argv.slice(2);
  const seen = {};
  for (MODEL of models.split(",")) {
    seen[MODEL] = {};
    for (const name of names) seen[MODEL][name] = await scenarios[name]();
  }
  console.log(JSON.stringify(seen));
}
