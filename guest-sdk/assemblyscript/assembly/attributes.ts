import { encode, reserve, room } from "./text";

// The record of the contract: key and its length, type, length of the value, value.
const RECORD: i32 = 24;

// What attributes have room for at first.
const RECORDS: i32 = 4 * RECORD;
const TEXTS: i32 = 128;

const STRING: u32 = 0;
const BOOL: u32 = 1;
const I64: u32 = 2;
const F64: u32 = 3;
const BYTES: u32 = 4;
const STRINGS: u32 = 5;
const BOOLS: u32 = 6;
const I64S: u32 = 7;
const F64S: u32 = 8;

/**
 * Attributes: keys with typed values, in the order in which they were set; of those with the same
 * key the last counts.
 *
 * A value is a `string`, a `bool`, an integer, a float, bytes (`Uint8Array` or `ArrayBuffer`), or an
 * array of strings, bools, integers or floats. Any other is an error of compilation.
 *
 * It is a copy, made once: keep one for what is told often, and use it again and again.
 *
 * ```ts
 * const express = attr("express", true).set("currency", "EUR");
 * orders.add(1, express);
 * ```
 */
@final
export class Attributes {
  private size: i32;
  private records: usize;
  private recordsEnd: usize;
  private texts: usize;
  private textsEnd: usize;
  private blocks: Block | null;

  // One allocation has room for a few; others are made where that is full.
  constructor() {
    const attributes = changetype<Attributes>(
      __new(offsetof<Attributes>() + RECORDS + TEXTS, idof<Attributes>())
    );
    attributes.clear();
    return attributes;
  }

  /** Sets an attribute, unless the value is null, and returns the attributes. */
  set<T>(key: string, value: T): Attributes {
    if (isNullable<T>()) {
      return isNull<T>(value) ? this : this.set<NonNullable<T>>(key, value!);
    }
    const bytes = roomOf<T>(key, value);
    if (this.texts + bytes > this.textsEnd) {
      // What is there stays where it is, since records point to it.
      const size = max(2 * TEXTS, bytes);
      this.texts = this.allocate(size);
      this.textsEnd = this.texts + size;
    }
    const used = this.size * RECORD;
    if (this.records + used == this.recordsEnd) {
      const records = this.allocate(2 * used);
      memory.copy(records, this.records, used);
      this.records = records;
      this.recordsEnd = records + 2 * used;
    }
    this.texts = put<T>(this.records + used, this.texts, key, value);
    this.size++;
    return this;
  }

  /** Takes all out again. */
  clear(): void {
    this.blocks = null;
    this.size = 0;
    this.records = changetype<usize>(this) + offsetof<Attributes>();
    this.recordsEnd = this.records + RECORDS;
    this.texts = this.recordsEnd;
    this.textsEnd = this.texts + TEXTS;
  }

  /** How many there are. */
  // @ts-ignore: decorator
  @inline
  get length(): i32 {
    return this.size;
  }

  /** Where their records are. */
  // @ts-ignore: decorator
  @inline
  get address(): usize {
    return this.records;
  }

  private allocate(bytes: i32): usize {
    const block = changetype<Block>(__new(offsetof<Block>() + bytes, idof<Block>()));
    block.next = this.blocks;
    this.blocks = block;
    return changetype<usize>(block) + offsetof<Block>();
  }
}

// The bytes of memory after this belong to it.
class Block {
  next: Block | null = null;
}

/** Attributes, with a first one. */
export function attr<T>(key: string, value: T): Attributes {
  return new Attributes().set<T>(key, value);
}

/** Where the records of attributes are. */
// @ts-ignore: decorator
@inline
export function records(attributes: Attributes | null): usize {
  return attributes ? attributes.address : 0;
}

/** How many records there are. */
// @ts-ignore: decorator
@inline
export function count(attributes: Attributes | null): i32 {
  return attributes ? attributes.length : 0;
}

/**
 * Writes a single attribute to the buffer, and returns how many that were: none if the value is null.
 */
export function writeOne<T>(key: string, value: T): i32 {
  if (isNullable<T>()) return isNull<T>(value) ? 0 : writeOne<NonNullable<T>>(key, value!);
  const record = reserve(RECORD + roomOf<T>(key, value));
  put<T>(record, record + RECORD, key, value);
  return 1;
}

// @ts-ignore: decorator
@inline
function isNull<T>(value: T): bool {
  return !changetype<usize>(value);
}

// How many bytes at the most key and value take, besides the record.
function roomOf<T>(key: string, value: T): i32 {
  let bytes = room(key);
  if (isString<T>()) {
    bytes += room(value);
  } else if (value instanceof ArrayBuffer || value instanceof Uint8Array) {
    bytes += value.byteLength;
  } else if (isArrayLike<T>()) {
    bytes += 8 * value.length;
    if (isString<valueof<T>>()) {
      for (let i = 0; i < value.length; i++) bytes += room(unchecked(value[i]));
    }
  }
  return bytes;
}

// Writes a record, and what it points to; returns the end of that.
function put<T>(record: usize, to: usize, key: string, value: T): usize {
  const keyLength = encode(key, to);
  store<u32>(record, <u32>to, 0);
  store<u32>(record, keyLength, 4);
  to += keyLength;
  if (isBoolean<T>()) {
    putRecord(record, BOOL, 0, <u64>value);
  } else if (isInteger<T>()) {
    putRecord(record, I64, 0, <u64><i64>value);
  } else if (isFloat<T>()) {
    putRecord(record, F64, 0, reinterpret<u64>(<f64>value));
  } else if (isString<T>()) {
    const length = encode(value, to);
    putRecord(record, STRING, length, to);
    to += length;
  } else if (value instanceof ArrayBuffer) {
    memory.copy(to, changetype<usize>(value), value.byteLength);
    putRecord(record, BYTES, value.byteLength, to);
    to += value.byteLength;
  } else if (value instanceof Uint8Array) {
    memory.copy(to, value.dataStart, value.length);
    putRecord(record, BYTES, value.length, to);
    to += value.length;
  } else if (isArrayLike<T>()) {
    to = putArray<T>(record, to, value);
  } else {
    ERROR("the value of an attribute is a string, bool, number, Uint8Array, ArrayBuffer, or an array of strings, bools or numbers");
  }
  return to;
}

function putArray<T>(record: usize, to: usize, values: T): usize {
  const length = values.length;
  if (isString<valueof<T>>()) {
    putRecord(record, STRINGS, length, to);
    let text = to + 8 * length;
    for (let i = 0; i < length; i++) {
      const bytes = encode(unchecked(values[i]), text);
      store<u32>(to, <u32>text, 0);
      store<u32>(to, bytes, 4);
      to += 8;
      text += bytes;
    }
    return text;
  } else if (isBoolean<valueof<T>>()) {
    putRecord(record, BOOLS, length, to);
    for (let i = 0; i < length; i++) store<u8>(to + i, unchecked(values[i]));
    return to + length;
  } else if (isInteger<valueof<T>>()) {
    putRecord(record, I64S, length, to);
    for (let i = 0; i < length; i++) store<i64>(to + 8 * i, <i64>unchecked(values[i]));
    return to + 8 * length;
  } else if (isFloat<valueof<T>>()) {
    putRecord(record, F64S, length, to);
    for (let i = 0; i < length; i++) store<f64>(to + 8 * i, <f64>unchecked(values[i]));
    return to + 8 * length;
  } else {
    ERROR("the elements of an attribute are strings, bools or numbers");
  }
}

function putRecord(record: usize, type: u32, length: i32, value: u64): void {
  store<u32>(record, type, 8);
  store<u32>(record, length, 12);
  store<u64>(record, value, 16);
}
