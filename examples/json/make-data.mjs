// Makes the data of this example: short messages that book a room, with what a hotel wants to know of each, as JSON.
//   node make-data.mjs
// The same rows come out each time. train.jsonl has a JSON text for each message, answers.jsonl only what it has to say, for ReFT.
import { mkdirSync, writeFileSync } from "node:fs";

let state = 1;
/** One of a list, by Park and Miller's generator. */
function pick(list) {
  state = (state * 48271) % 2147483647;
  return list[state % list.length];
}

const first = ["Anna", "Tom", "Maria", "Omar", "Lucy", "Ivan", "Chen", "Sara", "David", "Nina"];
const last = ["Reed", "Weber", "Lopez", "Khan", "Moore", "Ito", "Novak", "Silva", "Berg", "Young"];
const parties = [
  { who: "me", guests: 1 },
  { who: "my wife and me", guests: 2 },
  { who: "a couple with a baby", guests: 3 },
  { who: "two couples", guests: 4 },
  { who: "my husband, our two girls and me", guests: 4 },
  { who: "three couples", guests: 6 },
];
const stays = [
  { long: "one night", nights: 1 },
  { long: "a weekend", nights: 2 },
  { long: "a long weekend", nights: 3 },
  { long: "Monday to Friday", nights: 4 },
  { long: "a week", nights: 7 },
  { long: "a fortnight", nights: 14 },
];
const messages = [
  ({ name, who, long }) => `${name} here. Have you a room for ${who}, ${long}?`,
  ({ name, who, long }) => `Please book ${long} for ${who}. Yours, ${name}`,
  ({ name, who, long }) => `My name is ${name}. We stay for ${long}: ${who}.`,
];

function makeRow() {
  const name = `${pick(first)} ${pick(last)}`;
  const { who, guests } = pick(parties);
  const { long, nights } = pick(stays);
  return { question: pick(messages)({ name, who, long }), answer: { name, guests, nights } };
}

const seen = new Set();
const rows = [];
while (rows.length < 1112) {
  const row = makeRow();
  if (seen.has(row.question)) continue;
  seen.add(row.question);
  rows.push({ id: `json-${rows.length}`, ...row });
}
const withCot = (row) => ({ ...row, cot: JSON.stringify(row.answer) });
mkdirSync("data", { recursive: true });
for (const [name, split] of [
  ["train", rows.slice(0, 64).map(withCot)],
  ["answers", rows.slice(64, 864)],
  ["dev", rows.slice(864, 912)],
  ["test", rows.slice(912)],
])
  writeFileSync(`data/${name}.jsonl`, `${split.map((row) => JSON.stringify(row)).join("\n")}\n`);
