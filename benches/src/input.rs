//! Things for programs to do, the same each time.

use std::fmt::Write as _;

use serde_json::{Map, json};

/// Numerical Recipes' generator, whose upper bits will do.
struct Random(u32);

impl Random {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 16) % limit
    }
}

/// Go source that compiles, in want of formatting: about 470 bytes a function.
pub(crate) fn go_source(functions: usize) -> Vec<u8> {
    let mut text = String::from("package main\nimport (\n\"fmt\"\n\"errors\"\n)\n");
    let mut random = Random(1);
    for n in 0..functions {
        let _ = write!(
            text,
            "// F{n} has a comment.\nfunc  F{n}( a,b int,s []string ) (n int ,err error) {{\n\
             if a<{} {{ return b*a+{}<<2,nil }}\n",
            random.below(1000),
            random.below(9),
        );
        for _ in 0..random.below(6) {
            let _ = write!(
                text,
                "for i,x:=range s{{ switch {{\ncase i>{}: n+=len(x)*( a-b ) // why\n\
                 default: m:=map[string]int{{\"a\":{},  \"long\":i,}}\nn-=m[x] }} }}\n",
                random.below(50),
                random.below(90),
            );
        }
        let _ = writeln!(text, "if n==0{{ err=errors.New(fmt.Sprint(\"none\",a)) }}\nreturn }}");
    }
    text.into_bytes()
}

/// A netlist as yosys would write it, for nextpnr-ice40: as many lookup tables as asked
/// for, each with a flip-flop behind it, and wired to four of the flip-flops.
pub(crate) fn netlist(tables: u32) -> Vec<u8> {
    const CLOCK: u32 = 2;
    const INPUT: u32 = 3;
    let table_out = |n| 5 + 2 * n;
    let flop_out = |n| 6 + 2 * n;
    let net = |bit| json!({ "hide_name": 0, "bits": [bit], "attributes": {} });
    let mut random = Random(1);
    let mut cells = Map::new();
    let mut nets = Map::new();
    for n in 0..tables {
        let mut from = [0; 4].map(|_| flop_out(random.below(tables)));
        if n == 0 {
            from[0] = INPUT;
        }
        let [a, b, c, d] = from;
        let table = json!({
            "hide_name": 0,
            "type": "SB_LUT4",
            "attributes": {},
            "parameters": { "LUT_INIT": format!("{:016b}", random.below(1 << 16)) },
            "port_directions": {
                "I0": "input", "I1": "input", "I2": "input", "I3": "input", "O": "output",
            },
            "connections": { "I0": [a], "I1": [b], "I2": [c], "I3": [d], "O": [table_out(n)] },
        });
        let flop = json!({
            "hide_name": 0,
            "type": "SB_DFF",
            "attributes": {},
            "parameters": {},
            "port_directions": { "C": "input", "D": "input", "Q": "output" },
            "connections": { "C": [CLOCK], "D": [table_out(n)], "Q": [flop_out(n)] },
        });
        for (kind, cell, out) in [("table", table, table_out(n)), ("flop", flop, flop_out(n))] {
            cells.insert(format!("{kind}{n}"), cell);
            nets.insert(format!("{kind}{n}"), net(out));
        }
    }
    let port = |direction: &str, bit| json!({ "direction": direction, "bits": [bit] });
    let top = json!({
        "attributes": { "top": format!("{:032b}", 1) },
        "ports": {
            "clock": port("input", CLOCK),
            "input": port("input", INPUT),
            "output": port("output", flop_out(tables - 1)),
        },
        "cells": cells,
        "netnames": nets,
    });
    json!({ "creator": "observe", "modules": { "top": top } }).to_string().into_bytes()
}
