// What pi tells orx, and what it asks: written for one session by the daemon, which puts the path of orxctl in below.
// Pi has no permissions of its own, so this asks before every tool that may write or run something. Whoever is first
// decides: the inbox, or a person in the dialog at the terminal.
import { spawn } from "node:child_process";
import { basename, dirname } from "node:path";

/** What is called. */
const PROGRAM = "{program}";
/** Where orx keeps conversations by their names; empty where this one was begun elsewhere. */
const CONVERSATIONS = "{conversations}";
/** Tools of pi itself that only read. */
const READING = new Set(["read", "grep", "find", "ls"]);
/** How long a question waits before its dialog is drawn, in milliseconds: what a rule decides at once needs none. */
const UNDRAWN_MS = 250;
/** Characters and lines of a call that the dialog shows; the inbox has all of it. */
const SHOWN = { characters: 2000, lines: 12 };
const YES = "Yes";
const NO = "No";

export default function (pi) {
	/** Calls are heard in the order of what they tell. */
	let before = Promise.resolve();

	/** Calls `orxctl hook pi`; gives what it answers, or undefined where it has nothing to say. */
	function call(payload, signal) {
		return new Promise((resolve) => {
			let child;
			try {
				child = spawn(PROGRAM, ["hook", "pi"], { stdio: ["pipe", "pipe", "ignore"], signal });
			} catch {
				resolve(undefined);
				return;
			}
			let answer = "";
			child.stdout.setEncoding("utf8");
			child.stdout.on("data", (text) => {
				answer += text;
			});
			child.stdin.on("error", () => {});
			child.on("error", () => resolve(undefined));
			child.on("close", () => {
				try {
					resolve(JSON.parse(answer));
				} catch {
					resolve(undefined);
				}
			});
			child.stdin.end(JSON.stringify(payload));
		});
	}

	/** What every call says. */
	function about(point, ctx) {
		const file = ctx.sessionManager.getSessionFile();
		const isKept = file !== undefined && dirname(file) === CONVERSATIONS;
		return {
			hook_event_name: point,
			conversation: isKept ? basename(file, ".jsonl") : undefined,
			transcript_path: file,
			cwd: ctx.cwd,
		};
	}

	/** Calls after what was said before was heard. */
	function inOrder(payload, signal) {
		const answer = before.then(() => call(payload, signal));
		before = answer;
		return answer;
	}

	/** Tells something; that it cannot be told stops nothing. */
	function tell(point, ctx, more) {
		void inOrder({ ...about(point, ctx), ...more });
	}

	/** What a call about a tool says. */
	function tool(event) {
		return { tool_name: event.toolName, tool_input: event.input, tool_use_id: event.toolCallId };
	}

	/** What the dialog shows of a tool's call. */
	function shown(event) {
		const { command, path } = event.input;
		const text = command ?? path ?? JSON.stringify(event.input, null, 2);
		const lines = String(text).slice(0, SHOWN.characters).split("\n");
		const cut = lines.length > SHOWN.lines || String(text).length > SHOWN.characters;
		return [...lines.slice(0, SHOWN.lines), ...(cut ? ["…"] : [])].join("\n");
	}

	/** Asks the inbox and, where there is a terminal, a person at it; gives what the tool call is answered. */
	async function ask(event, ctx) {
		const asking = new AbortController();
		const drawn = new AbortController();
		const turn = ctx.signal;
		const stopped = () => {
			asking.abort();
			drawn.abort();
		};
		turn?.addEventListener("abort", stopped, { once: true });
		try {
			const inbox = inOrder({ ...about("PermissionRequest", ctx), ...tool(event) }, asking.signal);
			const atOnce = new Promise((resolve) => setTimeout(resolve, UNDRAWN_MS, null));
			let answer = await Promise.race([inbox, atOnce]);
			if (answer === null) {
				const title = `Permission needed: ${event.toolName}\n\n${shown(event)}\n`;
				const dialog = ctx.hasUI
					? ctx.ui.select(title, [YES, NO], { signal: drawn.signal }).then((choice) => ({ choice }))
					: new Promise(() => {});
				answer = await Promise.race([inbox, dialog]);
				// Without the inbox there is still the person.
				if (answer === undefined && ctx.hasUI) answer = await dialog;
			}
			if (turn?.aborted) return { block: true, reason: "The user interrupted this." };
			if (answer?.decision === "allow" || answer?.choice === YES) {
				tell("BeforeTool", ctx, tool(event));
				return undefined;
			}
			tell("PostToolUseFailure", ctx, tool(event));
			const nobody = "Nobody could be asked whether this is wanted.";
			const reason = answer === undefined ? nobody : (answer.reason ?? "The user does not want this.");
			return { block: true, reason };
		} finally {
			turn?.removeEventListener("abort", stopped);
			stopped();
		}
	}

	pi.on("session_start", (event, ctx) => tell("SessionStart", ctx, { source: event.reason }));
	pi.on("input", (event, ctx) => tell("UserPromptSubmit", ctx, { prompt: event.text }));
	pi.on("agent_start", (_event, ctx) => tell("BeforeAgent", ctx));
	pi.on("tool_call", async (event, ctx) => {
		if (READING.has(event.toolName)) {
			const answer = await inOrder({ ...about("PreToolUse", ctx), ...tool(event) });
			if (answer?.decision === "deny") return { block: true, reason: answer.reason };
			if (answer?.decision !== "ask") return undefined;
		}
		return ask(event, ctx);
	});
	pi.on("tool_result", (event, ctx) => {
		tell(event.isError ? "PostToolUseFailure" : "PostToolUse", ctx, tool(event));
	});
	pi.on("agent_end", (event, ctx) => {
		const last = event.messages.findLast((message) => message.role === "assistant");
		// It may try again what failed; the screen tells whether it does.
		if (last?.stopReason !== "error") tell("Stop", ctx);
	});
	pi.on("session_shutdown", (event, ctx) => {
		if (event.reason !== "quit") tell("SessionEnd", ctx, { reason: event.reason });
	});
}
