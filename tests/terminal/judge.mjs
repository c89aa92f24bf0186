// Judges redraws by xterm.js. Reads one JSON object a line: a stream as a program wrote it (`raw`, base 64), what viewers get of
// it (`passed`), and places where a viewer joins, each with the redraw that it gets there. Writes one JSON object a line:
// every difference between a terminal that joined and one that saw `passed` from its beginning, where it joined and at the
// end, and between that one and a terminal that the program wrote to directly.
//
// {"cols", "rows", "raw", "passed", "joins": [{"passed": place, "redraw", "before"?, "until"?: place}]}
// → {"passing": null | difference, "joins": [{"rest": null | difference, "end": null | difference}]}

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(`${process.argv[2]}/`);
const { Terminal } = require("@xterm/headless");
const { Unicode11Addon } = require("@xterm/addon-unicode11");

/** Cells that show nothing are written in the comparison as blanks are. */
const BLANK = " ";

function open(cols, rows) {
  const terminal = new Terminal({ cols, rows, scrollback: 0, allowProposedApi: true, logLevel: "off" });
  terminal.loadAddon(new Unicode11Addon());
  terminal.unicode.activeVersion = "11";
  const state = { terminal, title: "" };
  terminal.onTitleChange((title) => {
    state.title = title;
  });
  return state;
}

function write(state, bytes) {
  return new Promise((resolve) => state.terminal.write(bytes, resolve));
}

/**
 * A link of which xterm.js forgot where it leads: it keeps that with a mark on the row in which the link was begun, which it
 * does not move along with the text in a scroll region, and forgets it when that row is erased. The text keeps its link in
 * every other way; where it leads is compared where both terminals know it.
 */
const FORGOTTEN = "forgotten";

const FLAGS = ["Bold", "Italic", "Dim", "Blink", "Inverse", "Invisible", "Strikethrough", "Overline"];
const styles = new Map();

/** A style as text: colours, flags, underline and link. */
function style(core, attributes) {
  if (attributes.hasExtendedAttrs()) {
    return describe(core, attributes);
  }
  // Both are numbers of 32 bits: together they are more than a number holds.
  let grounds = styles.get(attributes.fg);
  if (grounds === undefined) {
    styles.set(attributes.fg, (grounds = new Map()));
  }
  let text = grounds.get(attributes.bg);
  if (text === undefined) {
    grounds.set(attributes.bg, (text = describe(core, attributes)));
  }
  return text;
}

function describe(core, attributes) {
  // A cell that is read into keeps the extended attributes of the one before when the new one has none.
  const link = attributes.hasExtendedAttrs() && attributes.extended.urlId;
  const color = (mode, value) => `${mode}:${mode === 0 ? "" : value}`;
  const under = attributes.isUnderlineColorDefault() ? "" : attributes.getUnderlineColor();
  return [
    color(attributes.getFgColorMode(), attributes.getFgColor()),
    color(attributes.getBgColorMode(), attributes.getBgColor()),
    FLAGS.filter((flag) => attributes[`is${flag}`]()).join(),
    attributes.isUnderline() ? `${attributes.getUnderlineStyle()}/${under}` : "",
    link ? (core._oscLinkService.getLinkData(link)?.uri ?? FORGOTTEN) : "",
  ].join("|");
}

/** The rows of a screen, each as one text with a part for each cell. Which rows go on with the one before is left out: it
 * shows nowhere, and a viewer gets a new picture whenever the size changes. */
function rows(core, buffer, label, out) {
  for (let y = 0; y < core.rows; y++) {
    const line = buffer.lines.get(buffer.ybase + y);
    let text = "";
    for (let x = 0; x < core.cols; x++) {
      const cell = line.loadCell(x, core._scratch);
      const width = cell.getWidth();
      text += `${width === 0 ? "" : cell.getChars() || BLANK} ${width} ${style(core, cell)}\n`;
    }
    out.push([`${label} ${y + 1}`, text]);
  }
}

/** All that a person sees and a program relies on, as named texts. */
function picture(state) {
  const core = state.terminal._core;
  core._scratch ??= state.terminal.buffer.active.getNullCell();
  const { normal, alt, active } = core.buffers;
  const modes = core.coreService;
  const out = [["screen", active === alt ? "alternate" : "primary"]];
  rows(core, active, "row", out);
  const saved = (buffer) => `${buffer.savedY + 1},${buffer.savedX + 1} ${style(core, buffer.savedCurAttrData)}`;
  out.push(["cursor", `${active.y + 1},${active.x + 1}`]);
  out.push(["pen", style(core, core._inputHandler._curAttrData)]);
  out.push(["saved cursor", saved(active)]);
  if (active === alt) {
    rows(core, normal, "row behind", out);
    out.push(["cursor behind", saved(normal)]);
  }
  out.push(["scroll region", `${active.scrollTop + 1},${active.scrollBottom + 1}`]);
  // The last column is left out: the cursor stops there with a tab and without, and xterm.js sets none there for a cursor
  // that waits behind it.
  out.push(["tabs", Object.keys(active.tabs).filter((column) => active.tabs[column] && column < core.cols - 1).join()]);
  out.push(["cursor hidden", String(modes.isCursorHidden)]);
  const { cursorBlink, cursorStyle, ...others } = { ...modes.modes, ...modes.decPrivateModes };
  for (const [mode, value] of Object.entries(others)) {
    out.push([`mode ${mode}`, String(value)]);
  }
  const options = state.terminal.options;
  out.push(["cursor style", `${cursorStyle ?? options.cursorStyle} ${cursorBlink ?? options.cursorBlink}`]);
  const mouse = core.coreMouseService;
  out.push(["mouse", `${mouse.activeProtocol} ${mouse.activeEncoding}`]);
  const charsets = core._charsetService;
  out.push(["charset", `${charsets.glevel} ${charsets.charset ? "drawing" : ""} ${[0, 1, 2, 3].map((set) => (charsets._charsets[set] ? "drawing" : "")).join()}`]);
  out.push(["line feed returns", String(options.convertEol)]);
  out.push(["title", state.title]);
  return out;
}

/** Whether two cells, or values, are the same as far as xterm.js knows. */
function isSame(one, two) {
  if (one === two || two === undefined) {
    return one === two;
  }
  const [left, right] = [one.split("|"), two.split("|")];
  const [from, to] = [left.pop(), right.pop()];
  return from !== "" && to !== "" && [from, to].includes(FORGOTTEN) && left.join("|") === right.join("|");
}

function difference(expected, actual) {
  for (let index = 0; index < Math.max(expected.length, actual.length); index++) {
    const [name, one] = expected[index] ?? ["nothing", ""];
    const [other, two] = actual[index] ?? ["nothing", ""];
    if (name !== other) {
      return `${name} became ${other}`;
    }
    if (one !== two) {
      const [left, right] = [one.split("\n"), two.split("\n")];
      const place = left.findIndex((cell, column) => !isSame(cell, right[column]));
      if (place < 0 && left.length === right.length) {
        continue;
      }
      return `${name}${left.length > 1 ? `,${place + 1}` : ""}: ${JSON.stringify(left[place])} became ${JSON.stringify(right[place])}`;
    }
  }
  return null;
}

async function judge({ cols, rows, raw, passed, joins }) {
  const seen = Buffer.from(passed, "base64");
  // What one that never left shows at every place that is asked for.
  const places = new Set(joins.flatMap((join) => [join.passed, join.until ?? seen.length]));
  const expected = new Map();
  const stayed = open(cols, rows);
  let from = 0;
  for (const place of [...places].sort((one, other) => one - other)) {
    await write(stayed, seen.subarray(from, place));
    from = place;
    expected.set(place, picture(stayed));
  }
  const direct = open(cols, rows);
  await write(direct, Buffer.from(raw, "base64"));
  const passing = difference(picture(direct), picture(stayed));
  const verdicts = [];
  for (const join of joins) {
    const until = join.until ?? seen.length;
    const joined = open(cols, rows);
    if (join.before) {
      await write(joined, Buffer.from(join.before, "base64"));
    }
    await write(joined, Buffer.from(join.redraw, "base64"));
    const rest = difference(expected.get(join.passed), picture(joined));
    await write(joined, seen.subarray(join.passed, until));
    const end = difference(expected.get(until), picture(joined));
    joined.terminal.dispose();
    verdicts.push({ rest, end });
  }
  return { passing, joins: verdicts };
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  process.stdout.write(`${JSON.stringify(await judge(JSON.parse(line)))}\n`);
}
