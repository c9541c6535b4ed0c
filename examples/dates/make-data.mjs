// Makes the data of this example: questions about dates, whose answers are numbers, with programs that compute them.
//   node make-data.mjs
// The same rows come out each time. train.jsonl has a program for each question, answers.jsonl has none, for ReFT.
import { mkdirSync, writeFileSync } from "node:fs";

let state = 1;
/** A whole number from low to high. Reference: Park and Miller's generator. */
function between(low, high) {
  state = (state * 48271) % 2147483647;
  return low + (state % (high - low + 1));
}

const day = 86_400_000;
const randomDate = () => new Date(Date.UTC(between(1990, 2030), between(0, 11), between(1, 28)));
const iso = (date) => date.toISOString().slice(0, 10);
const python = (date) =>
  `date(${date.getUTCFullYear()}, ${date.getUTCMonth() + 1}, ${date.getUTCDate()})`;

const kinds = [
  () => {
    const from = randomDate();
    const to = new Date(from.getTime() + between(1, 300) * day);
    return {
      question: `How many days are there from ${iso(from)} to ${iso(to)}?`,
      expression: `(${python(to)} - ${python(from)}).days`,
      answer: Math.round((to - from) / day),
    };
  },
  () => {
    const from = randomDate();
    const days = between(2, 90);
    return {
      question: `Which day of its month is ${days} days after ${iso(from)}?`,
      expression: `(${python(from)} + timedelta(days=${days})).day`,
      answer: new Date(from.getTime() + days * day).getUTCDate(),
    };
  },
  () => {
    const date = randomDate();
    return {
      question: `Which weekday is ${iso(date)}, if Monday is 0?`,
      expression: `${python(date)}.weekday()`,
      answer: (date.getUTCDay() + 6) % 7,
    };
  },
];

const seen = new Set();
const rows = [];
while (rows.length < 4700) {
  const { question, expression, answer } = kinds[between(0, kinds.length - 1)]();
  if (seen.has(question)) continue;
  seen.add(question);
  const cot = `from datetime import date, timedelta\n\ndef solution():\n    return ${expression}\n`;
  rows.push({ id: `dates-${rows.length}`, question, cot, answer });
}
const withoutCot = ({ cot, ...row }) => row;
mkdirSync("data", { recursive: true });
for (const [name, split] of [
  ["train", rows.slice(0, 500)],
  ["answers", rows.slice(500, 4300).map(withoutCot)],
  ["dev", rows.slice(4300, 4500).map(withoutCot)],
  ["test", rows.slice(4500).map(withoutCot)],
])
  writeFileSync(`data/${name}.jsonl`, `${split.map((row) => JSON.stringify(row)).join("\n")}\n`);
