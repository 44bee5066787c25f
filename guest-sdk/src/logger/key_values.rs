//! Key-values of records as attributes.

use ::log::Record;
use ::log::kv::{Error, Key, Value, VisitSource, VisitValue};

use crate::Attribute;
use crate::fields::Fields;

/// Adds the key-values of a record.
pub(super) fn add<'a>(record: &'a Record<'a>, fields: &mut Fields<'a>) {
    // It gives no error that the visitor did not, and that has none.
    let _ = record.key_values().visit(&mut Pairs(fields));
}

/// The key-values of a record.
struct Pairs<'f, 'a>(&'f mut Fields<'a>);

impl<'a> VisitSource<'a> for Pairs<'_, 'a> {
    fn visit_pair(&mut self, key: Key<'a>, value: Value<'a>) -> Result<(), Error> {
        let key = key.to_borrowed_str().unwrap_or_else(|| self.0.copy(key.as_str()));
        value.visit(Pair { key, fields: self.0 })
    }
}

/// One of them.
struct Pair<'f, 'a> {
    key: &'a str,
    fields: &'f mut Fields<'a>,
}

impl<'a> VisitValue<'a> for Pair<'_, 'a> {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), Error> {
        self.fields.push_format(self.key, format_args!("{value}"));
        Ok(())
    }

    fn visit_null(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), Error> {
        self.fields.push(Attribute::new(self.key, value));
        Ok(())
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), Error> {
        self.fields.push(Attribute::new(self.key, value));
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), Error> {
        self.fields.push_integer(self.key, value);
        Ok(())
    }

    fn visit_i128(&mut self, value: i128) -> Result<(), Error> {
        self.fields.push_integer(self.key, value);
        Ok(())
    }

    fn visit_u128(&mut self, value: u128) -> Result<(), Error> {
        self.fields.push_integer(self.key, value);
        Ok(())
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), Error> {
        self.fields.push(Attribute::new(self.key, value));
        Ok(())
    }

    fn visit_str(&mut self, value: &str) -> Result<(), Error> {
        let value = self.fields.copy(value);
        self.visit_borrowed_str(value)
    }

    fn visit_borrowed_str(&mut self, value: &'a str) -> Result<(), Error> {
        self.fields.push(Attribute::new(self.key, value));
        Ok(())
    }
}
