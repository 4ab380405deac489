/** Reads the bytes of the WebAssembly from the text into which scripts/bundle.mjs has written them. */

/** So many bytes stand before the others: in pairs, those that changed places. */
const swapped = 32;

/** Returns the bytes. One below 90 is one character, "#" for 0. Any other is two, of which the first is "}" or "~". */
export function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  // The text is ASCII: its characters are the codes, and the bytes take no more room. A call for each would be slow.
  const codes = new TextEncoder().encode(text) as Uint8Array<ArrayBuffer>;
  const { length } = codes;
  const original = new Uint8Array(256);
  for (let byte = 0; byte < 256; byte++) original[byte] = byte;
  let count = 0;
  for (let at = 0; at < length;) {
    let byte = (codes[at++] as number) - 35;
    if (byte >= 90) byte = (byte - 90) * 92 + (codes[at++] as number) - 35 + 90;
    codes[count++] = original[byte] as number;
    if (count !== swapped) continue;
    for (let place = 0; place < swapped; place++) original[codes[place] as number] = codes[place ^ 1] as number;
  }
  return codes.subarray(swapped, count);
}
