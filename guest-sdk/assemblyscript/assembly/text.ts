// What a call hands to the host is written to one buffer that every call uses anew.

let start: usize = memory.data(1024);
let capacity: i32 = 1024;

/** Makes room for so many bytes in the buffer, and returns its address. */
export function reserve(bytes: i32): usize {
  if (bytes > capacity) {
    if (capacity > 1024) heap.free(start);
    capacity = max(bytes, 2 * capacity);
    start = heap.alloc(capacity);
  }
  return start;
}

/** The address of the buffer, until more room is made. */
// @ts-ignore: decorator
@inline
export function buffer(): usize {
  return start;
}

/** The most bytes that a text can take in UTF-8: three for each of its units. */
// @ts-ignore: decorator
@inline
export function room(text: string): i32 {
  return 3 * text.length;
}

/** Writes a text in UTF-8, and returns its length. What is no Unicode becomes U+FFFD. */
export function encode(text: string, to: usize): i32 {
  return <i32>String.UTF8.encodeUnsafe(
    changetype<usize>(text), text.length, to, false, String.UTF8.ErrorMode.REPLACE
  );
}

/** Writes a text to the buffer, and returns its length. */
export function write(text: string): i32 {
  return encode(text, reserve(room(text)));
}

/** The text of so many bytes that the host wrote to the buffer. */
export function read(length: i32): string {
  return String.UTF8.decodeUnsafe(start, length);
}
