//! Decides what of the linked module nobody can reach once [`crate::NEVER_RUN`] has no bodies, functions and static data
//! alike, and blanks it: a body becomes `unreachable`, data becomes zeros, of which wasm-opt and gzip make nothing. Where
//! something refers to something the linker tells (`--emit-relocs`); nothing is guessed. Called by main.rs only.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::error::Error;
use std::ops::Range;
use wasmparser::{
    BinaryReader, Data, DataKind, ExternalKind, KnownCustom, Linking, Operator, Parser, Payload, RelocationEntry,
    RelocationType, SymbolInfo, TypeRef,
};

/// A function by its index, or data by its symbol's.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Item {
    Function(u32),
    Data(u32),
}

/// What the linker wrote. A place is a position in the file.
#[derive(Default)]
struct Linked<'a> {
    /// What is imported, or zero from the start, is nowhere.
    places: HashMap<Item, Range<usize>>,
    names: Vec<(Item, &'a str)>,
    /// By the place where an address, an index, or an index in the table is written: what it is of.
    references: BTreeMap<usize, Item>,
    /// Once more the functions that each calls: for what the linker itself makes up there are no relocations.
    calls: HashMap<Item, Vec<Item>>,
    /// What is exported. Not what is in the table: only who has an index calls a function there, and that is a reference.
    roots: Vec<Item>,
    /// By name, for the data that is exported as such.
    exported_globals: HashSet<&'a str>,
}

/// `wasm`, blank where only functions lead whose (mangled) name `is_never_run`, those included.
pub(crate) fn blank(wasm: &[u8], is_never_run: impl Fn(&str) -> bool) -> Result<Vec<u8>, Box<dyn Error>> {
    let linked = Linked::read(wasm)?;
    let never_run: HashSet<Item> =
        linked.names.iter().filter(|(_, name)| is_never_run(name)).map(|&(item, _)| item).collect();
    if never_run.is_empty() {
        return Err("nothing was found to take out: the names have changed, see NEVER_RUN".into());
    }
    let reached = linked.reached(&never_run);
    let mut result = wasm.to_vec();
    // Everything first, then back what is reached: data may lie within other data.
    for (item, place) in &linked.places {
        result[place.clone()].fill(0);
        if let Item::Function(_) = item {
            // No locals, `unreachable` again and again, `end`.
            result[place.end - 1] = 0x0b;
        }
    }
    for place in reached.iter().filter_map(|item| linked.places.get(item)) {
        result[place.clone()].copy_from_slice(&wasm[place.clone()]);
    }
    Ok(result)
}

impl<'a> Linked<'a> {
    fn reached(&self, never_run: &HashSet<Item>) -> HashSet<Item> {
        let mut reached = HashSet::new();
        let mut ahead = self.roots.clone();
        while let Some(item) = ahead.pop() {
            if never_run.contains(&item) || !reached.insert(item) {
                continue;
            }
            ahead.extend(self.calls.get(&item).into_iter().flatten());
            if let Some(place) = self.places.get(&item) {
                ahead.extend(self.references.range(place.clone()).map(|(_, &to)| to));
            }
        }
        reached
    }

    fn read(wasm: &'a [u8]) -> Result<Self, Box<dyn Error>> {
        let mut linked = Self::default();
        let mut functions = 0;
        let (mut sections, mut segments, mut symbols, mut relocations) = (vec![], vec![], vec![], vec![]);
        for payload in Parser::new(0).parse_all(wasm) {
            let payload = payload?;
            sections.extend(payload.as_section().map(|(_, contents)| contents.start));
            match payload {
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        functions += u32::from(matches!(import?.ty, TypeRef::Func(_)));
                    }
                }
                Payload::ExportSection(exports) => {
                    for export in exports {
                        let export = export?;
                        match export.kind {
                            ExternalKind::Func => linked.roots.push(Item::Function(export.index)),
                            ExternalKind::Global => drop(linked.exported_globals.insert(export.name)),
                            _ => {}
                        }
                    }
                }
                Payload::StartSection { func, .. } => linked.roots.push(Item::Function(func)),
                Payload::CodeSectionEntry(body) => {
                    let item = Item::Function(functions);
                    functions += 1;
                    linked.places.insert(item, body.range());
                    for operator in body.get_operators_reader()? {
                        if let Operator::Call { function_index } = operator? {
                            linked.calls.entry(item).or_default().push(Item::Function(function_index));
                        }
                    }
                }
                Payload::DataSection(data) => {
                    for segment in data {
                        segments.push(Segment::read(segment?)?);
                    }
                }
                Payload::CustomSection(section) => match section.as_known() {
                    KnownCustom::Linking(parts) => {
                        for part in parts.subsections() {
                            if let Linking::SymbolTable(table) = part? {
                                symbols = table.into_iter().collect::<Result<_, _>>()?;
                            }
                        }
                    }
                    KnownCustom::Reloc(section) => {
                        let start = sections[section.section_index() as usize];
                        for relocation in section.entries() {
                            relocations.push((start, relocation?));
                        }
                    }
                    _ => {}
                },
                _ => {}
            }
        }
        if symbols.is_empty() || relocations.is_empty() {
            return Err("no relocations: the module must be linked with --emit-relocs".into());
        }

        let targets: Vec<_> =
            symbols.into_iter().zip(0..).map(|(symbol, index)| linked.target(symbol, index, &segments)).collect();
        for (start, relocation) in relocations {
            // This one alone is of no symbol.
            if relocation.ty == RelocationType::TypeIndexLeb {
                continue;
            }
            let Some((item, address)) = targets[relocation.index as usize] else { continue };
            let place = start + relocation.offset as usize;
            if let Some(address) = address {
                check(&wasm[place..], relocation, address)?;
            }
            linked.references.insert(place, item);
        }
        Ok(linked)
    }

    /// What the symbol is of, and the address where it is written in the file.
    fn target(&mut self, symbol: SymbolInfo<'a>, index: u32, segments: &[Segment]) -> Option<(Item, Option<i32>)> {
        match symbol {
            SymbolInfo::Func { index, name, .. } => {
                let item = Item::Function(index);
                self.names.extend(name.map(|name| (item, name)));
                Some((item, None))
            }
            SymbolInfo::Data { name, symbol, .. } => {
                let item = Item::Data(index);
                if self.exported_globals.contains(name) {
                    self.roots.push(item);
                }
                let address = symbol.and_then(|symbol| {
                    let segment = segments.get(symbol.index as usize)?;
                    let start = segment.place.start + symbol.offset as usize;
                    self.places.insert(item, start..start + symbol.size as usize);
                    Some(segment.address.wrapping_add(symbol.offset as i32))
                });
                Some((item, address))
            }
            _ => None,
        }
    }
}

struct Segment {
    address: i32,
    place: Range<usize>,
}

impl Segment {
    fn read(data: Data) -> Result<Self, Box<dyn Error>> {
        if let DataKind::Active { offset_expr, .. } = data.kind
            && let Operator::I32Const { value } = offset_expr.get_operators_reader().read()?
        {
            return Ok(Self { address: value, place: data.range.end - data.data.len()..data.range.end });
        }
        Err("a data segment has no plain address".into())
    }
}

/// That the address is written there: so the relocations are of this very file, and read as they are meant.
fn check(bytes: &[u8], relocation: RelocationEntry, address: i32) -> Result<(), Box<dyn Error>> {
    let mut reader = BinaryReader::new(bytes, 0);
    let written = match relocation.ty {
        RelocationType::MemoryAddrLeb => reader.read_var_u32()? as i32,
        RelocationType::MemoryAddrSleb => reader.read_var_i32()?,
        RelocationType::MemoryAddrI32 => reader.read_u32()? as i32,
        kind => return Err(format!("a relocation of a kind not expected here: {kind:?}").into()),
    };
    if written != address.wrapping_add(relocation.addend as i32) {
        return Err(format!("relocation {relocation:?} is not of the address {written}").into());
    }
    Ok(())
}
