class Node { constructor(public value: i32, public next: Node | null) {} }
function sum(list: Node | null): i32 {
  let total = 0;
  while (list) { total += list.value; list = list.next; }
  return total;
}
export function run(n: i32): i32 {
  let list: Node | null = null;
  for (let i = 0; i < n; i++) list = new Node(i * i % 7, list);
  const words = "a source map follows the code".split(" ");
  let letters = 0;
  for (let i = 0; i < words.length; i++) letters += words[i].length;
  return sum(list) + letters;
}
