// The project's own arithmetic word problems with Python programs: short, seeded, of any number.
// A program takes one step a line, each with one operator: `a = 6 * 3`, then `return 30 - a`.
import { Rng } from "../../rng.ts";
import type { Example } from "../examples.ts";
import {
  colours,
  containers,
  distractors,
  goods,
  type Numbers,
  names,
  places,
  type Template,
  templates,
  things,
} from "./generatedTemplates.ts";

export interface GeneratedSizes {
  /** Problems with a program. */
  readonly train: number;
  /** Problems with an answer but without a program. */
  readonly answerOnly: number;
  readonly dev: number;
  readonly test: number;
}

export interface GeneratedProblems {
  readonly train: readonly Example[];
  readonly answerOnly: readonly Example[];
  readonly dev: readonly Example[];
  readonly test: readonly Example[];
}

const distractorProbability = 0.5;
const askFirstProbability = 0.15;
/** More numbers than this would make the questions long. */
const mostNumbersWithDistractor = 3;
const distractorNumbers = Array.from({ length: 19 }, (_, i) => i + 2);

/**
 * Generates four splits that share no question. Each has its own random stream and the test split
 * comes first, so the sizes of the others do not change it, and a smaller split is the start of a
 * larger one.
 */
export function generateProblems(sizes: GeneratedSizes, seed: number): GeneratedProblems {
  const seen = new Set<string>();
  const split = (name: string, count: number) =>
    generateSplit(name, count, Rng.named(seed, `generated/${name}`), seen);
  const test = split("test", sizes.test).map(withoutProgram);
  const dev = split("dev", sizes.dev).map(withoutProgram);
  const train = split("train", sizes.train);
  const answerOnly = split("answers", sizes.answerOnly).map(withoutProgram);
  return { train, answerOnly, dev, test };
}

function generateSplit(name: string, count: number, rng: Rng, seen: Set<string>): Example[] {
  const examples: Example[] = [];
  while (examples.length < count) {
    const { question, cot, answer } = generateProblem(rng);
    if (seen.has(question)) continue;
    seen.add(question);
    examples.push({ id: `generated-${name}-${examples.length}`, question, cot, answer });
  }
  return examples;
}

function withoutProgram({ id, question, answer }: Example): Example {
  return { id, question, answer };
}

interface Problem {
  readonly question: string;
  readonly cot: string;
  readonly answer: number;
}

/** One problem from a template drawn at random. */
export function generateProblem(rng: Rng, template: Template = rng.pick(templates)): Problem {
  const numbers = drawNumbers(template, rng);
  const sentences = tellStory(template, rng);
  const withDistractor = rng.uniform() < distractorProbability && allowsDistractor(template);
  if (withDistractor) insertDistractor(sentences, template, rng);
  const ask = pickWording(template.ask, rng);
  // A question may come before a story whose order is free, not into one told in time.
  const askFirst = template.order === "any" && rng.uniform() < askFirstProbability;
  const text = (askFirst ? [ask, ...sentences] : [...sentences, ask]).join(" ");

  const words = { ...drawWords(rng), ...drawDistractorNumber(numbers, rng) };
  const slots: Record<string, string | number> = { ...words, ...numbers };
  return {
    question: fillSlots(text, slots),
    cot: writeProgram(template, numbers),
    answer: round2(lastOf(runSteps(template, numbers))),
  };
}

function allowsDistractor(template: Template): boolean {
  return Object.keys(template.numbers).length <= mostNumbersWithDistractor;
}

/** Numbers that all differ and whose steps come out positive and whole, or in whole cents. */
function drawNumbers(template: Template, rng: Rng): Numbers {
  const unit = template.cents ? 100 : 1;
  const isTidy = (value: number) =>
    value > 0 && Math.abs(value * unit - Math.round(value * unit)) < 1e-9;
  for (let tries = 0; tries < 10_000; tries++) {
    const numbers = { x: 0, y: 0, z: 0, w: 0 };
    const drawn: number[] = [];
    for (const slot of slotNames(template)) {
      numbers[slot] = rng.pick(template.numbers[slot]!);
      drawn.push(numbers[slot]);
    }
    if (new Set(drawn).size === drawn.length && runSteps(template, numbers).every(isTidy)) {
      return numbers;
    }
  }
  throw new Error(`template "${template.name}": no numbers fit its steps`);
}

function slotNames(template: Template): (keyof Numbers)[] {
  return (["x", "y", "z", "w"] as const).filter((slot) => template.numbers[slot] !== undefined);
}

/** The result of every step. */
function runSteps(template: Template, numbers: Numbers): number[] {
  const results: number[] = [];
  for (const step of template.steps) {
    const [left, operator, right] = step.split(" ");
    const [a, b] = [left!, right!].map((operand) =>
      operand.startsWith("#")
        ? results[Number(operand.slice(1)) - 1]!
        : isSlot(operand)
          ? numbers[operand]
          : Number(operand),
    );
    results.push(apply(operator!, a!, b!));
  }
  return results;
}

function isSlot(operand: string): operand is keyof Numbers {
  return /^[xyzw]$/.test(operand);
}

function apply(operator: string, a: number, b: number): number {
  switch (operator) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "/":
      return a / b;
    default:
      throw new Error(`step: expected one of + - * /, got ${operator}`);
  }
}

function tellStory(template: Template, rng: Rng): string[] {
  const sentences = template.facts.map((fact) => pickWording(fact, rng));
  return template.order === "any" ? rng.shuffled(sentences) : sentences;
}

function insertDistractor(sentences: string[], template: Template, rng: Rng): void {
  const fitting = distractors.filter(
    ({ topic }) => topic === undefined || topic !== template.about,
  );
  const sentence = pickWording(rng.pick(fitting).sentence, rng);
  // Inside a story told in time it would come between a noun and the "them" that means it.
  const place =
    template.order === "any" ? rng.integer(sentences.length + 1) : rng.pick([0, sentences.length]);
  sentences.splice(place, 0, sentence);
}

function pickWording(wordings: string, rng: Rng): string {
  return rng.pick(wordings.split("|"));
}

/** Every word slot; those that a story does not use cost nothing. */
function drawWords(rng: Rng): Record<string, string> {
  const [A, B, C] = rng.shuffled(names);
  const [thing, other] = rng.shuffled(things);
  const [colour, hue] = rng.shuffled(colours);
  const [box, boxes] = rng.pick(containers);
  return {
    A: A!,
    B: B!,
    C: C!,
    thing: thing!,
    things: `${thing}s`,
    others: `${other}s`,
    colour: colour!,
    hue: hue!,
    box,
    boxes,
    place: rng.pick(places),
    good: rng.pick(goods),
  };
}

function drawDistractorNumber(numbers: Numbers, rng: Rng): { n: number } {
  const taken = new Set(Object.values(numbers));
  return { n: rng.pick(distractorNumbers.filter((number) => !taken.has(number))) };
}

function fillSlots(text: string, slots: Readonly<Record<string, string | number>>): string {
  return text.replace(/\{(\w+)\}/g, (_, slot: string) => {
    const value = slots[slot];
    if (value === undefined) throw new Error(`template: no such slot {${slot}} in "${text}"`);
    return String(value);
  });
}

/** One step a line, on the numbers themselves or on earlier results; the last one is returned. */
function writeProgram(template: Template, numbers: Numbers): string {
  const variable = (step: number) => String.fromCharCode("a".charCodeAt(0) + step - 1);
  const lines = template.steps.map((step, i) => {
    const expression = step.replace(/#(\d+)|[xyzw]/g, (operand, earlier?: string) =>
      earlier === undefined ? String(numbers[operand as keyof Numbers]) : variable(Number(earlier)),
    );
    return i === template.steps.length - 1
      ? `return ${expression}`
      : `${variable(i + 1)} = ${expression}`;
  });
  return ["def solution():", ...lines].join("\n    ");
}

function lastOf(values: readonly number[]): number {
  return values[values.length - 1]!;
}

function round2(value: number): number {
  return Math.round(value * 100) / 100;
}
