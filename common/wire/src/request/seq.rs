//! Lists inside of requests: checked once, then read again one by one, never gathered in memory.

use core::fmt;

use tidegate_codec::Error;
use tidegate_codec::Reader;
use tidegate_codec::Writer;

use super::TEXT_BYTES_MAX;

/// Something that can stand in a [`Seq`].
pub trait Element<'a>: Clone + Sized {
    /// What must be known to read one, such as the form of its surroundings.
    type Context: Copy + fmt::Debug + PartialEq;
    /// The fewest bytes that one can take; at least 1.
    const BYTES_MIN: usize;

    /// Reads one.
    fn decode(reader: &mut Reader<'a>, context: Self::Context) -> Result<Self, Error>;
    /// Writes one.
    fn encode(&self, writer: &mut Writer<'_>, context: Self::Context);
}

/// A list of elements, as read from a payload or as made to be sent.
///
/// `C` is [`Element::Context`]. It is a parameter because a list that named it through the trait could
/// not be used where one of a shorter life is expected.
#[derive(Clone)]
pub struct Seq<'a, T, C = ()> {
    context: C,
    items: Items<'a, T>,
}

#[derive(Clone)]
enum Items<'a, T> {
    /// `count` elements that were all read once without an error.
    Checked { count: usize, bytes: &'a [u8], position: usize },
    /// Elements of our own.
    Made(Vec<T>),
}

impl<'a, C: Copy, T: Element<'a, Context = C>> Seq<'a, T, C> {
    /// A list to be sent.
    pub fn new(items: Vec<T>, context: C) -> Self {
        Self { context, items: Items::Made(items) }
    }

    /// Reads an `i32` count and the elements.
    pub fn decode(reader: &mut Reader<'a>, what: &'static str, context: C) -> Result<Self, Error> {
        let count = reader.count(what, T::BYTES_MIN)?;
        Self::decode_counted(reader, count, context)
    }

    /// Reads elements whose count stands elsewhere.
    pub fn decode_counted(
        reader: &mut Reader<'a>,
        count: usize,
        context: C,
    ) -> Result<Self, Error> {
        let start = reader.clone();
        for _ in 0..count {
            T::decode(reader, context)?;
        }
        let items =
            Items::Checked { count, bytes: reader.since(&start), position: start.position() };
        Ok(Self { context, items })
    }

    /// Writes an `i32` count and the elements.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        writer.length(self.len());
        self.encode_counted(writer);
    }

    /// Writes the elements alone.
    pub fn encode_counted(&self, writer: &mut Writer<'_>) {
        for item in self.iter() {
            item.encode(writer, self.context);
        }
    }

    /// The elements in their order.
    pub fn iter(&self) -> SeqIter<'_, 'a, T, C> {
        let source = match &self.items {
            Items::Checked { count, bytes, position } => {
                Source::Checked { left: *count, reader: Reader::at(bytes, *position) }
            }
            Items::Made(items) => Source::Made(items.iter()),
        };
        SeqIter { context: self.context, source }
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        match &self.items {
            Items::Checked { count, .. } => *count,
            Items::Made(items) => items.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a, C: Copy, T: Element<'a, Context = C> + PartialEq> PartialEq for Seq<'a, T, C> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<'a, C: Copy, T: Element<'a, Context = C> + fmt::Debug> fmt::Debug for Seq<'a, T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a, T: Element<'a, Context = ()>> From<Vec<T>> for Seq<'a, T> {
    fn from(items: Vec<T>) -> Self {
        Self::new(items, ())
    }
}

impl<'s, 'a, C: Copy, T: Element<'a, Context = C>> IntoIterator for &'s Seq<'a, T, C> {
    type Item = T;
    type IntoIter = SeqIter<'s, 'a, T, C>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Iterates over a [`Seq`].
#[derive(Clone)]
pub struct SeqIter<'s, 'a, T, C = ()> {
    context: C,
    source: Source<'s, 'a, T>,
}

#[derive(Clone)]
enum Source<'s, 'a, T> {
    Checked { left: usize, reader: Reader<'a> },
    Made(core::slice::Iter<'s, T>),
}

impl<'a, C: Copy, T: Element<'a, Context = C>> Iterator for SeqIter<'_, 'a, T, C> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        match &mut self.source {
            Source::Checked { left, reader } => {
                *left = left.checked_sub(1)?;
                // The same bytes were read without an error before.
                T::decode(reader, self.context).ok()
            }
            Source::Made(items) => items.next().cloned(),
        }
    }
}

/// A parameter: a name, and a value that may be null.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs)] // a pair
pub struct Pair<'a> {
    /// The name.
    pub key: &'a str,
    /// The value.
    pub value: Option<&'a str>,
}

impl<'a> Seq<'a, Pair<'a>> {
    /// The value of a key: `None` if the key is not there, `Some(None)` if its value is null.
    ///
    /// Of a repeated key the last counts, as in the map that IoTDB builds.
    pub fn value(&self, key: &str) -> Option<Option<&'a str>> {
        self.iter().filter(|pair| pair.key == key).last().map(|pair| pair.value)
    }
}

impl<'a> Element<'a> for Pair<'a> {
    type Context = ();
    const BYTES_MIN: usize = 8;

    fn decode(reader: &mut Reader<'a>, (): ()) -> Result<Self, Error> {
        Ok(Self {
            key: reader.str("name of a parameter", TEXT_BYTES_MAX)?,
            value: reader.nullable_str("value of a parameter", TEXT_BYTES_MAX)?,
        })
    }

    fn encode(&self, writer: &mut Writer<'_>, (): ()) {
        writer.str(self.key);
        writer.nullable_str(self.value);
    }
}

impl<'a> Element<'a> for &'a str {
    type Context = ();
    const BYTES_MIN: usize = 4;

    fn decode(reader: &mut Reader<'a>, (): ()) -> Result<Self, Error> {
        reader.str("name", TEXT_BYTES_MAX)
    }

    fn encode(&self, writer: &mut Writer<'_>, (): ()) {
        writer.str(self);
    }
}

impl Element<'_> for i64 {
    type Context = ();
    const BYTES_MIN: usize = 8;

    fn decode(reader: &mut Reader<'_>, (): ()) -> Result<Self, Error> {
        reader.i64("number of 64 bits")
    }

    fn encode(&self, writer: &mut Writer<'_>, (): ()) {
        writer.i64(*self);
    }
}

impl Element<'_> for i32 {
    type Context = ();
    const BYTES_MIN: usize = 4;

    fn decode(reader: &mut Reader<'_>, (): ()) -> Result<Self, Error> {
        reader.i32("number of 32 bits")
    }

    fn encode(&self, writer: &mut Writer<'_>, (): ()) {
        writer.i32(*self);
    }
}
