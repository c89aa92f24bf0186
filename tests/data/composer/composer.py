#!/usr/bin/env python3
"""A program with a place for prompts, as coding CLIs have one: bracketed pastes, a draft that is shown, Enter submits it.

COMPOSER_LOG names the file that gets a line of JSON for each submission. COMPOSER_SWALLOWS=n swallows the first n Enters
after each paste, COMPOSER_WORKS=1 says by the window title that it works after a submission, COMPOSER_ASKS=1 draws a
permission dialog in the place of everything else then. COMPOSER_BUSY names a file before whose existence it draws nothing
after a submission.
"""
import json
import os
import time
import tty

BEGIN, END = b"\x1b[200~", b"\x1b[201~"
log = open(os.environ["COMPOSER_LOG"], "a", encoding="utf-8")
swallows = int(os.environ.get("COMPOSER_SWALLOWS", "0"))
works = os.environ.get("COMPOSER_WORKS") == "1"
busy = os.environ.get("COMPOSER_BUSY")
asks = os.environ.get("COMPOSER_ASKS") == "1"
edge = "─" * 60


def draw(draft):
    lines = draft.splitlines() or [""]
    text = f"\x1b[H\x1b[2J\r\n{edge}\r\n❯ {lines[-1][-50:]}\r\n{edge}\r\n  ? for shortcuts"
    os.write(1, text.encode())


def ask():
    lines = [edge, " Bash command", "   touch x", " Do you want to proceed?", " ❯ 1. Yes", "   2. No", " Esc to cancel"]
    os.write(1, ("\x1b[H\x1b[2J" + "\r\n".join(lines)).encode())


tty.setraw(0)
os.write(1, b"\x1b[?2004h")
draft, rest, pasting, swallowed = b"", b"", False, 0
draw("")
while True:
    read = os.read(0, 1 << 16)
    if not read:
        break
    rest += read
    while rest:
        mark = END if pasting else BEGIN
        at = rest.find(mark)
        if pasting:
            if at < 0:
                keep = max((n for n in range(1, len(mark)) if rest.endswith(mark[:n])), default=0)
                draft, rest = draft + rest[: len(rest) - keep], rest[len(rest) - keep :]
                break
            draft, rest, pasting, swallowed = draft + rest[:at], rest[at + len(mark) :], False, 0
            draw(draft.decode())
            continue
        if at == 0:
            rest, pasting = rest[len(mark) :], True
            continue
        if mark.startswith(rest):
            break
        key, rest = rest[:1], rest[1:]
        if key != b"\r":
            draft += key
        elif swallowed < swallows:
            swallowed += 1
            draw(draft.decode())
        elif draft:
            log.write(json.dumps(draft.decode()) + "\n")
            log.flush()
            draft = b""
            while busy and not os.path.exists(busy):
                time.sleep(0.01)
            draw("")
            if works:
                os.write(1, "\x1b]0;◐ Claude Code\x07".encode())
            if asks:
                ask()
