// Makes the data of this example: questions that show which words a pattern shall match and which not.
//   node make-data.mjs
// With the argument "dots" one part in forty matches any letters: for examples/hack. The same rows come out each time. train.jsonl has a pattern for each question, answers.jsonl has none, for ReFT.
import { mkdirSync, writeFileSync } from "node:fs";

let state = 1;
/** A whole number below n. Reference: Park and Miller's generator. */
function below(n) {
  state = (state * 48271) % 2147483647;
  return state % n;
}
const pick = (list) => list[below(list.length)];

/** Parts of a pattern: how it is written, and a word that it matches. */
const parts = [
  { text: "[abc]", word: () => pick("abc") },
  { text: "[xyz]", word: () => pick("xyz") },
  { text: "\\d", word: () => String(below(10)) },
  { text: "[abc]+", word: () => Array.from({ length: 1 + below(3) }, () => pick("abc")).join("") },
  { text: "\\d+", word: () => Array.from({ length: 1 + below(3) }, () => below(10)).join("") },
  { text: "-?", word: () => pick(["", "-"]) },
];

const any = { text: ".+", word: () => wordOf([pick(parts), pick(parts)]) };
const hasDots = process.argv[2] === "dots";
const pickPart = () => (hasDots && below(40) === 0 ? any : pick(parts));

const wordOf = (pattern) => pattern.map(({ word }) => word()).join("");
const textOf = (pattern) => pattern.map(({ text }) => text).join("");

function makeRow(index) {
  const pattern = Array.from({ length: 2 + below(2) }, pickPart);
  const isMatch = new RegExp(`^(?:${textOf(pattern)})$`);
  const match = [...new Set(Array.from({ length: 4 }, () => wordOf(pattern)))];
  const other = Array.from({ length: 40 }, () => wordOf([pick(parts), pick(parts), pick(parts)]));
  const not = [...new Set(other)].filter((word) => !isMatch.test(word)).slice(0, 4);
  const question = `match ${match.join(" ")} not ${not.join(" ")}`;
  return { id: `regex-${index}`, question, cot: textOf(pattern), answer: { match, not } };
}

const seen = new Set();
const rows = [];
while (rows.length < 3300) {
  const row = makeRow(rows.length);
  if (seen.has(row.question)) continue;
  seen.add(row.question);
  rows.push(row);
}
const withoutCot = ({ cot, ...row }) => row;
mkdirSync("data", { recursive: true });
for (const [name, split] of [
  ["train", rows.slice(0, 300)],
  ["answers", rows.slice(300, 3000).map(withoutCot)],
  ["dev", rows.slice(3000, 3100).map(withoutCot)],
  ["test", rows.slice(3100).map(withoutCot)],
])
  writeFileSync(`data/${name}.jsonl`, `${split.map((row) => JSON.stringify(row)).join("\n")}\n`);
