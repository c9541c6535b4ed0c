// Makes the data of this example: that of ../dates, but the answers for ReFT and dev come as another table wrote them, in words.
//   node make-data.mjs
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import "../dates/make-data.mjs";

const inWords = [
  [/^How many days/, (answer) => `${answer} days`],
  [/^Which day of its month/, (answer) => `day ${answer}`],
  [/^Which weekday/, (answer) => `weekday ${answer}`],
];

copyFileSync("data/dev.jsonl", "data/numbers.jsonl"); // for the warm-up
for (const name of ["answers", "dev"]) {
  const rows = readFileSync(`data/${name}.jsonl`, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  const written = rows.map((row) => {
    const [, write] = inWords.find(([kind]) => kind.test(row.question));
    return JSON.stringify({ ...row, answer: write(row.answer) });
  });
  writeFileSync(`data/${name}.jsonl`, `${written.join("\n")}\n`);
}
