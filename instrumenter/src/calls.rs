//! How far functions are from what the host can call.
//!
//! An edge leads from each function to those that it calls by index. A call through a
//! table or a reference may reach any function of its type that the module takes a
//! reference of outside of bodies: in an element segment, a global or a table. The
//! specification allows a body no other (3.4.10 of WebAssembly 3.0, `C.refs`), but
//! for what is exported, which is at distance 0.
//!
//! No edge is stored: functions are walked through when the search first comes to
//! them, and a type stands for all calls through it, so that time is linear in the code
//! and memory in the number of functions.

use std::collections::HashMap;

use wasmparser::{
    BinaryReader, ConstExpr, ElementItems, ElementSectionReader, FuncType, GlobalSectionReader,
    Operator, OperatorsReader, TableInit, TableSectionReader, ValType,
};

use crate::parse::{FuncIndex, Module};

/// For each function that a module defines, how many calls away it is from an export
/// or the start function; `None` where that is more than `limit`, or no calls lead there.
pub(crate) fn distances(module: &Module<'_>, limit: u32) -> Vec<Option<u32>> {
    let types = Types::new(module);
    let mut search = Search {
        first: module.first_defined(),
        distances: vec![None; module.functions.len()],
        next: Vec::new(),
    };
    let exports = module.exports.iter().map(|&(_, index)| index);
    for FuncIndex(index) in exports.chain(module.start) {
        search.reach(index, 0);
    }
    let mut by_type = types.referenced;
    for distance in 1..=limit {
        let callers = std::mem::take(&mut search.next);
        if callers.is_empty() {
            break;
        }
        for caller in callers {
            let body = &module.functions[caller].body;
            let reader = BinaryReader::new(body.bytes, body.offset);
            each_call(reader, body.code_start, |callee| match callee {
                Callee::Function(index) => search.reach(index, distance),
                Callee::Type(index) => {
                    let group = types.groups.get(index as usize).copied().flatten();
                    // Those of a type are reached once, and then no more.
                    let functions = group.and_then(|group| by_type.get_mut(group));
                    for index in functions.map(std::mem::take).unwrap_or_default() {
                        search.reach(index, distance);
                    }
                }
            });
        }
    }
    search.distances
}

struct Search {
    first: u32,
    distances: Vec<Option<u32>>,
    /// Functions that were reached and not yet walked through.
    next: Vec<usize>,
}

impl Search {
    fn reach(&mut self, index: u32, distance: u32) {
        let Some(place) = index.checked_sub(self.first).map(|place| place as usize) else { return };
        if let Some(unknown @ None) = self.distances.get_mut(place) {
            *unknown = Some(distance);
            self.next.push(place);
        }
    }
}

enum Callee {
    Function(u32),
    /// Any function of the type at this index.
    Type(u32),
}

/// Calls `found` for each call in a body.
fn each_call(mut body: BinaryReader<'_>, code_start: u32, mut found: impl FnMut(Callee)) {
    // The bodies were decoded when the module was parsed.
    let Ok(_) = body.read_bytes(code_start as usize) else { return };
    let mut operators = OperatorsReader::new(body);
    while let Ok(operator) = operators.read() {
        match operator {
            Operator::Call { function_index } | Operator::ReturnCall { function_index } => {
                found(Callee::Function(function_index));
            }
            Operator::CallIndirect { type_index, .. }
            | Operator::ReturnCallIndirect { type_index, .. }
            | Operator::CallRef { type_index }
            | Operator::ReturnCallRef { type_index } => found(Callee::Type(type_index)),
            _ => {}
        }
    }
}

/// Functions that can be called through a table or a reference, by type.
struct Types {
    /// The group of the type at each index.
    groups: Vec<Option<usize>>,
    /// The functions of each group that a reference is taken of.
    referenced: Vec<Vec<u32>>,
}

impl Types {
    fn new(module: &Module<'_>) -> Self {
        let mut known = HashMap::new();
        let groups: Vec<_> = module
            .types
            .iter()
            .map(|ty| {
                let next = known.len();
                ty.as_ref().map(|ty| *known.entry(shape(&ty.ty)).or_insert(next))
            })
            .collect();
        let mut referenced = vec![Vec::new(); known.len()];
        let mut seen = vec![false; module.functions.len()];
        let mut refer = |index: u32| {
            let place = index.checked_sub(module.first_defined()).map(|place| place as usize);
            let Some((place, seen)) = place.and_then(|place| Some((place, seen.get_mut(place)?)))
            else {
                return;
            };
            let ty = module.functions[place].type_index as usize;
            let Some(group) = groups.get(ty).copied().flatten() else { return };
            if !std::mem::replace(seen, true) {
                referenced[group].push(index);
            }
        };
        for section in &module.sections {
            let reader = BinaryReader::new(module.contents(section), section.range.start);
            // Sections that cannot be read refer to nothing: the engine will refuse them.
            let _ = references(section.id, reader, &mut refer);
        }
        Types { groups, referenced }
    }
}

/// Parameters and results, references of all types taken for one: those of a type may be
/// given where a supertype is asked for, and the same type may have two indices.
fn shape(ty: &FuncType) -> (Vec<u8>, Vec<u8>) {
    let shape = |types: &[ValType]| {
        let class = |ty: &ValType| match ty {
            ValType::I32 => 0,
            ValType::I64 => 1,
            ValType::F32 => 2,
            ValType::F64 => 3,
            ValType::V128 => 4,
            ValType::Ref(_) => 5,
        };
        types.iter().map(class).collect()
    };
    (shape(ty.params()), shape(ty.results()))
}

/// Calls `refer` for each function that a section of tables (4), globals (6) or elements
/// (9) takes a reference of (WebAssembly specification, 5.5.2).
fn references(
    id: u8,
    reader: BinaryReader<'_>,
    refer: &mut impl FnMut(u32),
) -> Result<(), wasmparser::Error> {
    match id {
        4 => {
            for table in TableSectionReader::new(reader)? {
                if let TableInit::Expr(init) = table?.init {
                    expression(init, refer);
                }
            }
        }
        6 => {
            for global in GlobalSectionReader::new(reader)? {
                expression(global?.init_expr, refer);
            }
        }
        9 => {
            for element in ElementSectionReader::new(reader)? {
                match element?.items {
                    ElementItems::Functions(functions) => {
                        for index in functions {
                            refer(index?);
                        }
                    }
                    ElementItems::Expressions(_, expressions) => {
                        for item in expressions {
                            expression(item?, refer);
                        }
                    }
                }
            }
        }
        _ => {}
    }
    Ok(())
}

/// Calls `refer` for each function that a constant expression takes a reference of.
fn expression(expression: ConstExpr<'_>, refer: &mut impl FnMut(u32)) {
    let mut operators = expression.get_operators_reader();
    while let Ok(operator) = operators.read() {
        if let Operator::RefFunc { function_index } = operator {
            refer(function_index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(wat: &str, limit: u32) -> Vec<Option<u32>> {
        let wasm = wat::parse_str(wat).expect("valid");
        distances(&Module::parse(&wasm).expect("valid"), limit)
    }

    #[test]
    fn calls_are_counted_from_exports_and_the_start_function() {
        let wat = "(module
            (import \"m\" \"f\" (func $import))
            (func $a (export \"a\") call $b call $import)
            (func $b call $c call $a)
            (func $c return_call $d)
            (func $d)
            (func $start call $d)
            (func $alone call $b)
            (start $start))";
        assert_eq!(of(wat, 9), [Some(0), Some(1), Some(2), Some(1), Some(0), None]);
        assert_eq!(of(wat, 1), [Some(0), Some(1), None, Some(1), Some(0), None]);
        assert_eq!(of(wat, 0), [Some(0), None, None, None, Some(0), None]);
    }

    #[test]
    fn a_call_through_a_type_reaches_what_is_referred_to() {
        let wat = "(module
            (type $one (func (param i32)))
            (type $same (func (param i32)))
            (type $two (func (param i64)))
            (table 8 funcref)
            (elem (i32.const 0) $in_table)
            (elem declare func $declared)
            (global (ref $one) (ref.func $in_global))
            (table 1 1 (ref null $two) (ref.func $other_type))
            (func (export \"e\") (call_indirect (type $one) (i32.const 1) (i32.const 0)))
            (func $in_table (type $one) (call $behind))
            (func $declared (type $same))
            (func $in_global (type $one))
            (func $other_type (type $two))
            (func $not_referred_to (type $one))
            (func $behind (drop (ref.func $declared))))";
        assert_eq!(of(wat, 9), [Some(0), Some(1), Some(1), Some(1), None, None, Some(2)]);
    }

    #[test]
    fn references_reach_subtypes() {
        let wat = "(module
            (type $super (sub (func (result anyref))))
            (type $sub (sub $super (func (result i31ref))))
            (elem declare func $f)
            (func (export \"e\") (drop (call_ref $super (ref.func $f))))
            (func $f (type $sub) (ref.i31 (i32.const 1))))";
        assert_eq!(of(wat, 9), [Some(0), Some(1)]);
    }

    /// Edges would be a hundred million here, 800 MB.
    #[test]
    fn many_callers_through_one_type_cost_no_more_than_their_number() {
        let functions = "(func $f (call_indirect (i32.const 0)))".replace("$f", "");
        let list: String = (0..10_000).map(|index| format!(" {index}")).collect();
        let wat = format!(
            "(module (table 10000 funcref) (elem (i32.const 0){list}) (export \"e\" (func 0)) {})",
            functions.repeat(10_000)
        );
        let distances = of(&wat, u32::MAX);
        assert_eq!(distances[0], Some(0));
        assert!(distances[1..].iter().all(|&distance| distance == Some(1)));
    }
}
