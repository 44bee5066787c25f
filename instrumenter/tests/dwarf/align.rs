//! Where each instruction went, found without the instrumenter's help: both modules are
//! decoded, what was injected is taken out of the new one, and the rest is paired in
//! order. Where the hooks were taken out again, all is the rest.

use std::mem::discriminant;
use std::ops::Range;

use wasmparser::{FunctionBody, Operator, Parser, Payload, TypeRef};

/// A stretch of the code section, before and after.
struct Piece {
    old: Range<u64>,
    new: Range<u64>,
}

/// A function whose start was moved apart from its first instruction.
pub(crate) struct Prologue {
    /// Where the function began.
    pub(crate) old: u64,
    /// Where it begins.
    pub(crate) new_start: u64,
    /// Where its first instruction was.
    pub(crate) old_code: u64,
    /// The injected instructions; none where the hooks were taken out again.
    pub(crate) new: Vec<u64>,
}

pub(crate) struct Alignment {
    pieces: Vec<Piece>,
    pub(crate) prologues: Vec<Prologue>,
    old_end: u64,
    new_end: u64,
}

struct Code<'a> {
    start: usize,
    end: usize,
    bodies: Vec<FunctionBody<'a>>,
    imports: u32,
    enter: Option<u32>,
    exit: Option<u32>,
    /// How many of the bodies are the module's own; what follows came with the hooks.
    own: usize,
}

impl<'a> Code<'a> {
    fn of(wasm: &'a [u8]) -> Self {
        let (mut start, mut end, mut bodies, mut imports) = (0, 0, Vec::new(), 0);
        let (mut enter, mut exit) = (None, None);
        for payload in Parser::new(0).parse_all(wasm) {
            match payload.expect("a module") {
                Payload::CodeSectionStart { range, .. } => (start, end) = (range.start, range.end),
                Payload::CodeSectionEntry(body) => bodies.push(body),
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import.expect("an import");
                        if !matches!(import.ty, TypeRef::Func(_) | TypeRef::FuncExact(_)) {
                            continue;
                        }
                        match (import.module.starts_with("observe"), import.name) {
                            (true, "enter") => enter = Some(imports),
                            (true, "exit") => exit = Some(imports),
                            _ => {}
                        }
                        imports += 1;
                    }
                }
                _ => {}
            }
        }
        let own = bodies.len();
        Code { start, end, bodies, imports, enter, exit, own }
    }

    /// The function that came with the hooks to count a cell down and call `enter`, if one did.
    fn count(&self) -> Option<u32> {
        let stores = |body: &&FunctionBody<'a>| {
            let operators = self.operators(body);
            operators.first().is_some_and(|(_, op)| matches!(op, Operator::LocalGet { .. }))
                && operators.iter().any(|(_, op)| matches!(op, Operator::I32Store { .. }))
        };
        let at = self.bodies[self.own..].iter().position(|body| stores(&body))?;
        Some(self.imports + (self.own + at) as u32)
    }

    /// The instructions of a body with their offsets.
    fn operators(&self, body: &FunctionBody<'a>) -> Vec<(u64, Operator<'a>)> {
        let mut reader = body.get_operators_reader().expect("operators");
        let mut operators = Vec::new();
        while !reader.eof() {
            let offset = (reader.original_position() - self.start) as u64;
            operators.push((offset, reader.read().expect("an operator")));
        }
        operators
    }

    fn range(&self, body: &FunctionBody<'_>) -> Range<u64> {
        let range = body.range();
        (range.start - self.start) as u64..(range.end - self.start) as u64
    }
}

/// Where each function is, and each of its instructions.
pub(crate) fn functions(wasm: &[u8]) -> Vec<(Range<u64>, Vec<u64>)> {
    let code = Code::of(wasm);
    let offsets = |body| code.operators(body).iter().map(|operator| operator.0).collect();
    code.bodies.iter().map(|body| (code.range(body), offsets(body))).collect()
}

impl Alignment {
    pub(crate) fn of(old_wasm: &[u8], new_wasm: &[u8]) -> Self {
        let (old, mut new) = (Code::of(old_wasm), Code::of(new_wasm));
        new.own = old.bodies.len();
        // Where a function counts cells down, that is what hooked functions call.
        new.enter = new.count().or(new.enter);
        let shift = new.imports - old.imports;
        let has_hooks = new.enter.is_some();
        match has_hooks {
            true => assert!((2..=5).contains(&shift), "enter and exit, and what else is needed"),
            false => assert_eq!((shift, new.bodies.len()), (0, new.own), "all are gone"),
        }
        let mut alignment = Alignment {
            pieces: Vec::new(),
            prologues: Vec::new(),
            old_end: (old.end - old.start) as u64,
            new_end: (new.end - new.start) as u64,
        };
        let pieces = &mut alignment.pieces;
        let (mut old_before, mut new_before) = (None, None);
        for (old_body, new_body) in old.bodies.iter().zip(&new.bodies) {
            let (old_range, new_range) = (old.range(old_body), new.range(new_body));
            // The length before the body; that of the first comes after the count.
            let old_length = old_before.unwrap_or(old_range.start)..old_range.start;
            let new_length = new_before.unwrap_or(new_range.start)..new_range.start;
            pieces.push(Piece { old: old_length, new: new_length });
            (old_before, new_before) = (Some(old_range.end), Some(new_range.end));

            let old_ops = old.operators(old_body);
            let new_ops = new.operators(new_body);
            let injected = injected(&new_ops, &new);
            let hooked = injected[0];
            let exits = |op: &Operator<'_>| matches!(op, Operator::Call { function_index } if Some(*function_index) == new.exit);
            let wrapped = new_ops.iter().any(|(_, op)| exits(op));
            let first_op = new_ops[0].0;
            // What is left of the new body: each instruction from its start to its end.
            let ends = new_ops.iter().skip(1).map(|op| op.0).chain([new_range.end]);
            let all: Vec<_> = new_ops.iter().zip(ends).zip(&injected).collect();
            let mut left = all.iter().filter(|(_, injected)| !**injected);
            let prologue: Vec<_> = all.iter().take_while(|(_, injected)| **injected).collect();
            let mut after = prologue.last().map_or(first_op, |((_, end), _)| *end);
            let start = old_range.start..old_ops[0].0;
            pieces.push(Piece { old: start, new: new_range.start..after });
            if hooked || !has_hooks {
                let new = prologue.iter().map(|((op, _), _)| op.0).collect();
                alignment.prologues.push(Prologue {
                    old: old_range.start,
                    new_start: new_range.start,
                    old_code: old_ops[0].0,
                    new,
                });
            }
            for (n, (at, op)) in old_ops.iter().enumerate() {
                let end = old_ops.get(n + 1).map_or(old_range.end, |next| next.0);
                if n + 1 == old_ops.len() && wrapped {
                    // The final `end`: all that follows belongs to it.
                    pieces.push(Piece { old: *at..end, new: after..new_range.end });
                    break;
                }
                let mut next = || {
                    let (((at, op), end), _) = left.next().expect("as many instructions");
                    (*at, op, *end)
                };
                let (start, mut new_op, mut end_of_new) = next();
                if matches!(op, Operator::MemoryGrow { .. } | Operator::TableGrow { .. }) && hooked
                {
                    // The id, and the call of a function that does it.
                    assert!(matches!(new_op, Operator::I32Const { .. }), "became {new_op:?}");
                    (_, new_op, end_of_new) = next();
                    assert!(matches!(new_op, Operator::Call { .. }), "became {new_op:?}");
                } else {
                    assert!(same(op, new_op, shift, &old, &new), "{op:?} became {new_op:?}");
                }
                pieces.push(Piece { old: *at..end, new: start..end_of_new });
                after = end_of_new;
            }
        }
        let (old, new) = (old_before.unwrap_or(0), new_before.unwrap_or(0));
        pieces.push(Piece { old: old..alignment.old_end, new: new..alignment.new_end });
        alignment
    }

    /// Whether `new` is where `old` went.
    pub(crate) fn agrees(&self, old: u64, new: u64) -> bool {
        let at = self.pieces.partition_point(|piece| piece.old.start <= old);
        // Nothing before the first function moves, and tombstones stay.
        let first = self.pieces.first().expect("there is code").old.start;
        if old < first || old >= u64::from(u32::MAX - 1) {
            return old == new;
        }
        if old > self.old_end {
            return new - self.new_end == old - self.old_end;
        }
        let piece = &self.pieces[at - 1];
        if old == piece.old.start {
            return new == piece.new.start;
        }
        // Inside an instruction: there is nothing that it should mean.
        piece.new.start < new && new <= piece.new.end
    }

    /// Where an address went, if it is that of an instruction, or the start or end of a
    /// function.
    pub(crate) fn exact(&self, old: u64) -> Option<u64> {
        let at = self.pieces.binary_search_by_key(&old, |piece| piece.old.start).ok()?;
        Some(self.pieces[at].new.start)
    }

    /// The function whose first instruction is at an address, if there are hooks before.
    pub(crate) fn opening(&self, old: u64) -> Option<&Prologue> {
        let at = self.prologues.binary_search_by_key(&old, |prologue| prologue.old_code).ok()?;
        Some(&self.prologues[at])
    }
}

/// Which instructions of a new body were injected.
fn injected(operators: &[(u64, Operator<'_>)], code: &Code<'_>) -> Vec<bool> {
    let mut injected = vec![false; operators.len()];
    let calls = |wanted: Option<u32>| {
        operators.iter().enumerate().filter_map(move |(n, (_, op))| match op {
            Operator::Call { function_index } if Some(*function_index) == wanted => Some(n),
            _ => None,
        })
    };
    let position = |from: usize, is: fn(&Operator<'_>) -> bool| {
        operators[from..].iter().position(|(_, op)| is(op)).map(|at| from + at)
    };
    // A call of a timer in a tail, if the hooks are a prefix; one of `enter`, if they are around
    // the body.
    let added = code.imports + code.own as u32;
    let hands_over = operators
        .iter()
        .position(|(_, op)| {
            !matches!(
                op,
                Operator::GlobalGet { .. }
                    | Operator::I32Const { .. }
                    | Operator::I32Load { .. }
                    | Operator::I32Eqz
                    | Operator::If { .. }
                    | Operator::LocalGet { .. }
            )
        })
        .filter(|&at| {
            matches!(operators[at].1, Operator::ReturnCall { function_index } if function_index >= added)
        });
    let enter = calls(code.enter).next();
    if let Some(asks) = hands_over.or(enter) {
        let inline = matches!(operators[1].1, Operator::I32Eqz | Operator::I32Load { .. });
        let mut last = match inline {
            // What counts ends with a store.
            true => {
                let end = position(asks, |op| matches!(op, Operator::End)).expect("the `if` ends");
                let stores = |op: &Operator<'_>| {
                    matches!(op, Operator::GlobalSet { .. } | Operator::I32Store { .. })
                };
                position(end, stores).expect("it counts")
            }
            false => asks + 1,
        };
        if hands_over.is_none() {
            // The block that the body is wrapped in.
            last += 1;
            if let (_, Operator::TryTable { .. }) = operators[last + 1] {
                last += 1;
            }
        }
        injected[..=last].fill(true);
    }
    for exit in calls(code.exit) {
        let own = match operators[exit - 2].1 {
            // Before a tail call: `local.get, i32.const, i32.lt_s, if, local.get, call, end`.
            Operator::If { .. } => exit - 5..=exit + 1,
            // At the end: `local.get, i32.clz, br_if, local.get, call`.
            _ => exit - 4..=exit,
        };
        injected[own].fill(true);
    }
    injected
}

fn same(
    old: &Operator<'_>,
    new: &Operator<'_>,
    shift: u32,
    before: &Code<'_>,
    after: &Code<'_>,
) -> bool {
    match (old, new) {
        (Operator::Return, Operator::Br { .. }) => true,
        // Hooks that were taken out leave the shorter of the two.
        (Operator::Br { .. }, Operator::Return) => shift == 0,
        (Operator::Call { function_index: old }, Operator::Call { function_index: new }) => {
            let added = after.imports + after.own as u32;
            // Those called in place of imports stand behind the module's own.
            if *old < before.imports { *new >= added || old == new } else { *new == old + shift }
        }
        _ => discriminant(old) == discriminant(new),
    }
}
