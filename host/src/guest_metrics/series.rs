//! The series of all metrics, within the quotas of tenants and a bound for all.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use observe_collector::event::{Attribute, Value};

use super::distinct::Distinct;
use super::value::{Amount, Gauge, Histogram, Part};
use super::{Kind, Of};
use crate::names::OVERFLOW;

/// The bytes that all series together may take, about. Tenants have quotas of their own; this
/// bounds the memory however many there are.
pub(super) const MAX_BYTES: usize = 64 << 20;

/// The bytes that a series takes beside its texts, about.
const SERIES_BYTES: usize = 256;

/// Those of a histogram: 320 counts, and 20 exemplars.
const HISTOGRAM_BYTES: usize = 5 << 10;

/// Those of a set.
const SET_BYTES: usize = 4 << 10;

/// All series.
#[derive(Debug, Default)]
pub(super) struct AllSeries {
    pub(super) of: BTreeMap<Key, Series>,
    by_tenant: HashMap<Option<Box<str>>, u32>,
    pub(super) bytes: usize,
}

/// What tells a series from others; in an order in which the series of a metric stand together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) name: Box<str>,
    pub(super) kind: Kind,
    pub(super) unit: Box<str>,
    pub(super) tenant: Option<Box<str>>,
    /// What tells one set of attributes from all others; `None` is that of series that are too
    /// many, and comes first.
    attributes: Option<Box<[u8]>>,
}

/// A series.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) description: Option<Arc<str>>,
    /// In the order of their keys.
    attributes: Vec<Attribute>,
    pub(super) data: Data,
}

/// What a series holds.
#[derive(Debug)]
pub(super) enum Data {
    Sum(Sum),
    Gauge(Arc<Gauge>),
    Histogram(Arc<Histogram>),
    Set(Distinct),
}

/// A sum.
#[derive(Debug, Default)]
pub(super) struct Sum {
    /// What those parts came to whose stores have let go of them.
    folded: Amount,
    pub(super) parts: Vec<Arc<Part>>,
    /// How many parts there may be before it is looked which of them to fold.
    patience: usize,
    /// Whether a counter was ever given less than nothing.
    pub(super) fell: bool,
}

/// What a store keeps of a series to which it has added, for as long as its trace lasts.
#[derive(Clone, Debug)]
pub(crate) enum Slot {
    Sum(Arc<Part>),
    Gauge(Arc<Gauge>),
    Histogram(Arc<Histogram>),
}

impl Key {
    /// The key, and its attributes in the order of their keys; of those with the same key the
    /// last.
    fn new(of: &Of<'_>, mut attributes: Vec<Attribute>) -> (Self, Vec<Attribute>) {
        attributes.reverse();
        attributes.sort_by(|a, b| a.key.cmp(&b.key));
        attributes.dedup_by(|later, first| later.key == first.key);
        let mut identity = Vec::new();
        for Attribute { key, value } in &attributes {
            write_text(key.as_bytes(), &mut identity);
            write_value(value, &mut identity);
        }
        let key = Key {
            name: of.name.into(),
            kind: of.kind,
            unit: of.unit.into(),
            tenant: of.tenant.map(Into::into),
            attributes: Some(identity.into()),
        };
        (key, attributes)
    }

    /// The bytes that its series takes: identities and attributes have the same texts.
    fn bytes(&self, description: Option<&Arc<str>>) -> usize {
        let attributes = self.attributes.as_ref().map_or(0, |identity| identity.len() * 3);
        let data = match self.kind {
            Kind::Counter | Kind::UpDownCounter | Kind::Gauge => 0,
            Kind::Histogram => HISTOGRAM_BYTES,
            Kind::Set => SET_BYTES,
        };
        let description = description.map_or(0, |description| description.len());
        let texts = self.name.len() + self.unit.len() + description;
        SERIES_BYTES + data + texts + attributes
    }

    /// What tells its metric from others.
    pub(super) fn metric(&self) -> (&str, Kind, &str) {
        (&self.name, self.kind, &self.unit)
    }
}

/// Writes bytes so that no two sequences of them come to the same.
fn write_text(text: &[u8], to: &mut Vec<u8>) {
    to.extend((text.len() as u64).to_le_bytes());
    to.extend(text);
}

/// Writes a value so that no two come to the same.
fn write_value(value: &Value, to: &mut Vec<u8>) {
    match value {
        Value::Empty => to.push(0),
        Value::String(text) => {
            to.push(1);
            write_text(text.as_bytes(), to);
        }
        Value::Bool(value) => to.extend([2, u8::from(*value)]),
        Value::Int(value) => {
            to.push(3);
            to.extend(value.to_le_bytes());
        }
        Value::Double(value) => {
            to.push(4);
            to.extend(value.to_bits().to_le_bytes());
        }
        Value::Bytes(bytes) => {
            to.push(5);
            write_text(bytes, to);
        }
        Value::Array(array) => {
            to.push(6);
            to.extend((array.values().len() as u64).to_le_bytes());
            array.values().iter().for_each(|value| write_value(value, to));
        }
        Value::KeyValueList(list) => {
            to.push(7);
            to.extend((list.attributes().len() as u64).to_le_bytes());
            for Attribute { key, value } in list.attributes() {
                write_text(key.as_bytes(), to);
                write_value(value, to);
            }
        }
    }
}

impl AllSeries {
    /// The series of some attributes, and whether it is theirs alone. There are at most so many
    /// for each tenant, and then one more for each name that it has, and for each kind.
    pub(super) fn at(
        &mut self,
        of: &Of<'_>,
        attributes: Vec<Attribute>,
        quota: u32,
    ) -> (&mut Series, bool) {
        let (key, attributes) = Key::new(of, attributes);
        let new = |attributes| Series::new(of, attributes);
        if self.of.contains_key(&key) {
            return (self.of.entry(key).or_insert_with(|| new(attributes)), true);
        }
        let bytes = key.bytes(of.description);
        let tenant = self.by_tenant.get(&key.tenant).copied().unwrap_or(0);
        let has_room = self.bytes + bytes <= MAX_BYTES;
        if has_room && tenant < quota {
            *self.by_tenant.entry(key.tenant.clone()).or_default() += 1;
            self.bytes += bytes;
            return (self.of.entry(key).or_insert_with(|| new(attributes)), true);
        }
        let rest = Key { attributes: None, ..key };
        let is_there = self.of.contains_key(&rest);
        let has_name = || {
            let mut next = self.of.range(&rest..).map(|(key, _)| key);
            next.next().is_some_and(|key| Key { attributes: None, ..key.clone() } == rest)
        };
        if is_there || has_room && has_name() {
            self.bytes += if is_there { 0 } else { bytes };
            return (self.of.entry(rest).or_insert_with(|| new(Vec::new())), false);
        }
        // Of a tenant that has nothing else this is the first, if there is room for it at all.
        let tenant = rest.tenant.filter(|_| has_room);
        let rest = Key { name: OVERFLOW.into(), unit: "".into(), tenant, ..rest };
        // What has no name of its own has no description either.
        let new = || Series { description: None, ..new(Vec::new()) };
        (self.of.entry(rest).or_insert_with(new), false)
    }
}

impl Series {
    fn new(of: &Of<'_>, attributes: Vec<Attribute>) -> Self {
        let data = match of.kind {
            Kind::Counter | Kind::UpDownCounter => Data::Sum(Sum::default()),
            Kind::Gauge => Data::Gauge(Arc::default()),
            Kind::Histogram => Data::Histogram(Arc::default()),
            Kind::Set => Data::Set(Distinct::default()),
        };
        Series { description: of.description.map(Arc::clone), attributes, data }
    }

    /// What a store may keep of it; sets have nothing.
    pub(super) fn slot(&mut self) -> Option<Slot> {
        Some(match &mut self.data {
            Data::Sum(sum) => Slot::Sum(sum.part()),
            Data::Gauge(gauge) => Slot::Gauge(Arc::clone(gauge)),
            Data::Histogram(histogram) => Slot::Histogram(Arc::clone(histogram)),
            Data::Set(_) => return None,
        })
    }

    pub(super) fn attributes(&self, key: &Key) -> Vec<Attribute> {
        let tenant = key.tenant.iter().map(|tenant| Attribute::new("wasm.tenant", &**tenant));
        // The attribute is the OpenTelemetry metrics SDK specification's, "Cardinality limits".
        let overflow =
            key.attributes.is_none().then(|| Attribute::new("otel.metric.overflow", true));
        tenant.chain(overflow).chain(self.attributes.iter().cloned()).collect()
    }
}

impl Sum {
    /// A part for one store.
    fn part(&mut self) -> Arc<Part> {
        if self.parts.len() >= self.patience {
            self.fold();
            // So that a part is looked at twice, on average, however many there are.
            self.patience = 8 + 2 * self.parts.len();
        }
        let part = Arc::new(Part::default());
        self.parts.push(Arc::clone(&part));
        part
    }

    /// Adds to it without a part of one's own.
    pub(super) fn add(&mut self, more: f64) {
        self.fell |= more < 0.0;
        self.folded.add(more.into());
    }

    /// Adds up the parts whose stores have let go of them: these never change again.
    fn fold(&mut self) {
        let folded = &mut self.folded;
        self.parts.retain_mut(|part| {
            // Unlike a look at the number of references this orders what the store did before.
            let Some(part) = Arc::get_mut(part) else { return true };
            folded.add(part.amount());
            false
        });
    }

    pub(super) fn amount(&self) -> Amount {
        let mut amount = self.folded;
        self.parts.iter().for_each(|part| amount.add(part.amount()));
        amount
    }
}
