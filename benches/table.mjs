/** Prints rows of text under a head, the first column to the left and the others to the right. */
export function printTable(head, rows) {
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column].length)));
  widths[0] = Math.max(widths[0], 56);
  const line = (row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(Math.max(widths[column], 10))))
      .join("  ");
  console.log(`\n${line(head)}`);
  for (const row of rows) console.log(line(row));
}

export function whole(number) {
  return Math.round(number).toLocaleString("en-US");
}
