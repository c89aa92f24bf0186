//! Symbols of each language.

use orx_index::{MapOptions, Parse, project_map};

use crate::project;

/// One line for each symbol: `kind parent>name first-last`.
fn outline(name: &str, text: &str) -> Vec<String> {
    let directory = project(&[(name, text)]);
    let map = project_map(directory.path(), &MapOptions::default()).unwrap();
    assert_eq!(map.files.len(), 1);
    assert_eq!(map.files[0].parse, Parse::Full, "{name}");
    let shown = map.files[0].symbols.iter().map(|symbol| {
        let parent = symbol.parent.as_ref().map(|parent| format!("{parent}>")).unwrap_or_default();
        format!("{} {parent}{} {}-{}", symbol.kind.as_str(), symbol.name, symbol.line, symbol.end_line)
    });
    shown.collect()
}

#[test]
fn rust() {
    let text = r#"//! Frames.
use std::fmt;

/// Limit.
pub const LIMIT: usize = 16;
static NAME: &str = "x";

pub struct Decoder<T> {
    buffer: Vec<T>,
}

impl<T: Clone> Decoder<T> {
    pub fn next(&mut self) -> Option<T> {
        fn local() {}
        None
    }
}

impl<T> fmt::Debug for Decoder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { Ok(()) }
}

pub trait Source {
    type Item;
    fn pull(&self) -> u8;
}

mod inner {
    pub enum Kind { A, B }
    pub async fn run() {}
    impl Kind { const fn size() -> u8 { 1 } }
}

macro_rules! shout { () => {}; }
type Alias = u8;
union Bits { a: u8, b: i8 }
"#;
    assert_eq!(
        outline("a.rs", text),
        [
            "constant LIMIT 5-5",
            "static NAME 6-6",
            "struct Decoder 8-10",
            "method Decoder>next 13-16",
            "method Decoder>fmt 20-20",
            "trait Source 23-26",
            "type Source>Item 24-24",
            "method Source>pull 25-25",
            "module inner 28-32",
            "enum inner>Kind 29-29",
            "function inner>run 30-30",
            "method inner::Kind>size 31-31",
            "macro shout 34-34",
            "type Alias 35-35",
            "union Bits 36-36",
        ]
    );
}

#[test]
fn python() {
    let text = "import os

MAX_SIZE = 10
plain = 1

@decorator
class Frame(Base):
    LIMIT = 3

    def __init__(self):
        self.x = 1

    @property
    async def body(self):
        def local():
            pass

    class Inner:
        def deep(self): ...

if True:
    def guarded(): pass

def main(argv=None):
    pass
";
    assert_eq!(
        outline("a.py", text),
        [
            "constant MAX_SIZE 3-3",
            "class Frame 7-19",
            "method Frame>__init__ 10-11",
            "method Frame>body 14-16",
            "class Frame>Inner 18-19",
            "method Frame.Inner>deep 19-19",
            "function guarded 22-22",
            "function main 24-25",
        ]
    );
}

#[test]
fn typescript() {
    let text = "import { a } from './a';
export interface Frame { body: string; size(): number; }
export type Id = string | number;
export enum Kind { A, B }
export const LIMIT = 16, OTHER = 2;
let counter = 0;
export const parseFrame = async (x: number): Promise<void> => { const inner = 1; };
function plain(a: string): void { function local() {} }
declare function external(x: number): void;
export abstract class Decoder<T> extends Base {
  private limit = 3;
  constructor(private x: number) { super(); }
  get next(): T { return this.x; }
  abstract pull(): T;
  onClick = () => {};
}
namespace Outer { export const y = 1; export function inner() {} }
export default class Named {}
";
    assert_eq!(
        outline("a.ts", text),
        [
            "interface Frame 2-2",
            "method Frame>size 2-2",
            "type Id 3-3",
            "enum Kind 4-4",
            "constant LIMIT 5-5",
            "constant OTHER 5-5",
            "variable counter 6-6",
            "function parseFrame 7-7",
            "function plain 8-8",
            "function external 9-9",
            "class Decoder 10-16",
            "method Decoder>constructor 12-12",
            "method Decoder>next 13-13",
            "method Decoder>pull 14-14",
            "method Decoder>onClick 15-15",
            "module Outer 17-17",
            "constant Outer>y 17-17",
            "function Outer>inner 17-17",
            "class Named 18-18",
        ]
    );
}

#[test]
fn tsx_and_jsx() {
    let expected = ["function App 1-3", "function Button 4-4", "class Old 5-7", "method Old>render 6-6"];
    let body = "return <Button onClick={() => go()}>hi</Button>;\n}\n\
                const Button = (p) => <button {...p} />;\nclass Old extends Component {\n  render() { return <p/>; }\n}\n";
    assert_eq!(outline("a.tsx", &format!("export function App(): JSX.Element {{\n{body}")), expected);
    assert_eq!(outline("a.jsx", &format!("export function App() {{\n{body}")), expected);
}

#[test]
fn javascript() {
    let text = "const fs = require('fs');
var old = function () {};
function* generate() {}
class A { static #hidden = 1; field = () => 1; async go() {} }
(function () { function wrapped() {} })();
";
    assert_eq!(
        outline("a.mjs", text),
        [
            "constant fs 1-1",
            "function old 2-2",
            "function generate 3-3",
            "class A 4-4",
            "method A>field 4-4",
            "method A>go 4-4",
            "function wrapped 5-5",
        ]
    );
}

#[test]
fn go() {
    let text = "package frame

import \"fmt\"

const (
	Limit, Other = 1, 2
)

var ErrShort = fmt.Errorf(\"short\")

type Decoder[T any] struct {
	buf []T
}

type Source interface {
	Pull() int
}

type Id = string
type Kind int

func New() *Decoder[int] { return nil }

func (d *Decoder[T]) Next() (T, bool) {
	local := func() {}
	local()
}

func (Kind) String() string { return \"\" }
";
    assert_eq!(
        outline("a.go", text),
        [
            "constant Limit 6-6",
            "constant Other 6-6",
            "variable ErrShort 9-9",
            "struct Decoder 11-13",
            "interface Source 15-17",
            "method Source>Pull 16-16",
            "type Id 19-19",
            "type Kind 20-20",
            "function New 22-22",
            "method Decoder>Next 24-27",
            "method Kind>String 29-29",
        ]
    );
}
