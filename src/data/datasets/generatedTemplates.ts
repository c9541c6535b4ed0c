// The stories that the generator tells: what happens, what is asked, and the steps to the answer.

/** The numbers of a story by slot; a slot that the story does not use is 0. */
export interface Numbers {
  readonly x: number;
  readonly y: number;
  readonly z: number;
  readonly w: number;
}

export interface Template {
  readonly name: string;
  /** One sentence each; `|` separates wordings. Slots in braces are filled by the generator. */
  readonly facts: readonly string[];
  /** Whether the facts may be told in any order; a story told in time may not. */
  readonly order: "any" | "told";
  readonly ask: string;
  /** What each number may be. All numbers of a story differ from each other. */
  readonly numbers: Partial<Record<keyof Numbers, readonly number[]>>;
  /**
   * One binary operation each, over number slots, constants and `#1` for the result of step 1.
   * Every result must be a positive whole number; with `cents`, one of at most two decimals.
   */
  readonly steps: readonly string[];
  readonly cents?: true;
  /** What the story is about, so that no distractor muddles it. */
  readonly about?: Topic;
}

export type Topic = "age" | "distance" | "time" | "people";

export interface Distractor {
  readonly sentence: string;
  readonly topic?: Topic;
}

const range = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);
// Few different numbers, so that each is seen often and becomes a token of its own.
const tiny = range(2, 9);
const small = range(2, 20);
const round = [12, 18, 20, 24, 30, 36, 40, 48, 50, 60];
const large = [...range(10, 20), 24, 30, 36, 40, 48, 50, 60];
const percents = [5, 10, 20, 25, 50, 75];
const prices = [12, 20, 24, 30, 36, 40, 48, 50, 60, 80];

export const names = "Tom Ann Ben Mia Sam Eva Leo Zoe Max Ivy Dan Amy Kai Liz Roy Uma".split(" ");
export const things = [
  ..."plum pen book card coin shell stamp marble".split(" "),
  ..."cookie balloon pencil sticker lemon cup flower button".split(" "),
];
export const containers = [
  ["box", "boxes"],
  ["bag", "bags"],
  ["jar", "jars"],
  ["basket", "baskets"],
  ["tray", "trays"],
] as const;
export const colours = "red blue green white black yellow".split(" ");
export const places = "school park farm shop library zoo".split(" ");
export const goods = "bike lamp coat game radio clock".split(" ");

export const distractors: readonly Distractor[] = [
  { sentence: "{C} is {n} years old.", topic: "age" },
  { sentence: "The {place} is {n} miles away.|{C} lives {n} miles away.", topic: "distance" },
  { sentence: "{C} waited {n} minutes.|{C} slept {n} hours.", topic: "time" },
  { sentence: "{C} has {n} cousins.|{n} people are at the {place}.", topic: "people" },
  { sentence: "{C} has {n} {others}.|{C} lost {n} {others}." },
  { sentence: "{A} has {n} {others}.|{A} needs {n} {others}." },
  { sentence: "There are {n} {others} on the table.|The {place} has {n} {others}." },
  { sentence: "It is {n} degrees outside.|It rained on {n} days." },
];

export const templates: readonly Template[] = [
  // ---- one sum or difference ----
  {
    name: "join",
    facts: ["{A} has {x} {things}.|{A} owns {x} {things}.", "{B} has {y} {things}."],
    order: "any",
    ask: "How many {things} do they have together?|How many {things} do {A} and {B} have in all?",
    numbers: { x: small, y: small },
    steps: ["x + y"],
  },
  {
    name: "gain",
    facts: [
      "{A} has {x} {things}.|{A} starts with {x} {things}.",
      "{B} gives {A} {y} more.|{A} finds {y} more.|{A} buys {y} more.",
    ],
    order: "told",
    ask: "How many {things} does {A} have now?|How many {things} are there now?",
    numbers: { x: small, y: small },
    steps: ["x + y"],
  },
  {
    name: "two colours",
    facts: [
      "There are {x} {colour} {things} in a {box}.|A {box} holds {x} {colour} {things}.",
      "The {box} also holds {y} {hue} ones.|It also has {y} {hue} ones.",
    ],
    order: "told",
    ask: "How many {things} are in the {box}?|What is the total number of {things}?",
    numbers: { x: small, y: small },
    steps: ["x + y"],
  },
  {
    name: "more than",
    facts: ["{A} has {x} {things}.", "{B} has {y} more {things} than {A}."],
    order: "any",
    ask: "How many {things} does {B} have?|What number of {things} does {B} have?",
    numbers: { x: small, y: small },
    steps: ["x + y"],
  },
  {
    name: "fewer than the other",
    facts: ["{A} has {x} {things}.", "{A} has {y} fewer {things} than {B}."],
    order: "told",
    ask: "How many {things} does {B} have?|What number of {things} does {B} have?",
    numbers: { x: small, y: small },
    steps: ["x + y"],
  },
  {
    name: "at first",
    facts: [
      "{A} gave {x} {things} to {B}.|{A} lost {x} {things}.|{A} sold {x} {things}.",
      "Now {A} has {y} left.|{A} still has {y} {things}.",
    ],
    order: "told",
    ask: "How many {things} did {A} have at first?|How many {things} did {A} start with?",
    numbers: { x: small, y: small },
    steps: ["x + y"],
  },
  {
    name: "give away",
    facts: [
      "{A} has {x} {things}.|{A} starts with {x} {things}.",
      "{A} gives {y} to {B}.|{A} loses {y} of them.|{A} sells {y} of them.",
    ],
    order: "told",
    ask: "How many {things} does {A} have left?|How many {things} does {A} have now?",
    numbers: { x: large, y: small },
    steps: ["x - y"],
  },
  {
    name: "difference",
    facts: ["{A} has {x} {things}.", "{B} has {y} {things}.|{B} owns {y} {things}."],
    order: "any",
    ask:
      "How many more {things} does {A} have than {B}?|" +
      "How many fewer {things} does {B} have than {A}?",
    numbers: { x: large, y: small },
    steps: ["x - y"],
  },
  {
    name: "fewer than",
    facts: ["{A} has {x} {things}.", "{B} has {y} fewer {things} than {A}."],
    order: "any",
    ask: "How many {things} does {B} have?|What number of {things} does {B} have?",
    numbers: { x: large, y: small },
    steps: ["x - y"],
  },
  {
    name: "more than the other",
    facts: ["{A} has {x} {things}.", "{A} has {y} more {things} than {B}."],
    order: "told",
    ask: "How many {things} does {B} have?|What number of {things} does {B} have?",
    numbers: { x: large, y: small },
    steps: ["x - y"],
  },
  {
    name: "found some",
    facts: [
      "{A} had {x} {things}.",
      "Then {A} found some more.|Then {B} gave {A} some more.",
      "Now {A} has {y} {things}.",
    ],
    order: "told",
    ask: "How many {things} did {A} get?|How many {things} are new?",
    numbers: { x: small, y: large },
    steps: ["y - x"],
  },
  {
    name: "lost some",
    facts: [
      "{A} had {x} {things}.",
      "Then {A} lost some.|Then {A} gave some to {B}.",
      "Now {A} has {y} {things}.",
    ],
    order: "told",
    ask: "How many {things} are gone?|How many {things} did {A} give up?",
    numbers: { x: large, y: small },
    steps: ["x - y"],
  },
  {
    name: "needs more",
    facts: ["{A} needs {x} {things}.|{A} wants {x} {things}.", "{A} has {y} of them so far."],
    order: "told",
    ask: "How many more {things} does {A} need?|How many {things} are missing?",
    numbers: { x: large, y: small },
    steps: ["x - y"],
  },
  {
    name: "the rest",
    facts: [
      "Together {A} and {B} have {x} {things}.|{A} and {B} share {x} {things}.",
      "{A} has {y} of them.",
    ],
    order: "told",
    ask: "How many {things} does {B} have?|How many of them belong to {B}?",
    numbers: { x: large, y: small },
    steps: ["x - y"],
  },
  {
    name: "ages",
    facts: ["{A} is {x} years old.", "{B} is {y} years old."],
    order: "any",
    ask: "How many years older is {A} than {B}?|How much younger is {B} than {A}?",
    numbers: { x: large, y: small },
    steps: ["x - y"],
    about: "age",
  },
  {
    name: "age later",
    facts: ["{A} is {x} years old.", "{B} is {y} years older than {A}."],
    order: "any",
    ask: "How old is {B}?|What is the age of {B}?",
    numbers: { x: small, y: small },
    steps: ["x + y"],
    about: "age",
  },
  {
    name: "money left",
    facts: [
      "{A} has {x} dollars.|{A} takes {x} dollars to the {place}.",
      "{A} buys a {good} for {y} dollars.|{A} spends {y} dollars on a {good}.",
    ],
    order: "told",
    ask: "How many dollars are left?|How much money does {A} have left?",
    numbers: { x: large, y: small },
    steps: ["x - y"],
  },
  {
    name: "profit",
    facts: [
      "{A} buys a {good} for {x} dollars.|{A} pays {x} dollars for a {good}.",
      "{A} sells it for {y} dollars.|Then {B} buys it for {y} dollars.",
    ],
    order: "told",
    ask: "How many dollars does {A} make?|What is the profit of {A}?",
    numbers: { x: small, y: large },
    steps: ["y - x"],
  },
  // ---- one product or quotient ----
  {
    name: "groups",
    facts: ["{A} has {x} {boxes}.|There are {x} {boxes}.", "Each {box} holds {y} {things}."],
    order: "any",
    ask: "How many {things} are there in all?|How many {things} are in the {boxes}?",
    numbers: { x: tiny, y: small },
    steps: ["x * y"],
  },
  {
    name: "price",
    facts: [
      "One {thing} costs {x} dollars.|The price of a {thing} is {x} dollars.",
      "{A} buys {y} {things}.",
    ],
    order: "any",
    ask: "How many dollars does {A} pay?|How much does {A} spend?",
    numbers: { x: tiny, y: small },
    steps: ["x * y"],
  },
  {
    name: "walk",
    facts: [
      "{A} walks {x} miles per hour.|{A} walks {x} miles every hour.",
      "The walk lasts {y} hours.|{A} walks for {y} hours.",
    ],
    order: "any",
    ask: "How many miles does {A} walk?|How far does {A} walk?",
    numbers: { x: tiny, y: small },
    steps: ["x * y"],
    about: "distance",
  },
  {
    name: "times as many",
    facts: ["{A} has {x} {things}.", "{B} has {y} times as many {things} as {A}."],
    order: "any",
    ask: "How many {things} does {B} have?|What number of {things} does {B} have?",
    numbers: { x: small, y: tiny },
    steps: ["x * y"],
  },
  {
    name: "twice",
    facts: [
      "{A} has {x} {things}.",
      "{B} has twice as many {things} as {A}.|{B} has double the {things} of {A}.",
    ],
    order: "any",
    ask: "How many {things} does {B} have?|What number of {things} does {B} have?",
    numbers: { x: small },
    steps: ["x * 2"],
  },
  {
    name: "a week",
    facts: ["{A} makes {x} {things} every day.|Each day {A} makes {x} {things}."],
    order: "any",
    ask: "How many {things} does {A} make in a week?|How many {things} does {A} make in one week?",
    numbers: { x: small },
    steps: ["x * 7"],
    about: "time",
  },
  {
    name: "dozens",
    facts: ["{A} has {x} dozen {things}.|{A} owns {x} dozen {things}."],
    order: "any",
    ask: "How many {things} does {A} have?|How many single {things} does {A} have?",
    numbers: { x: tiny },
    steps: ["x * 12"],
  },
  {
    name: "minutes",
    facts: ["{A} works for {x} hours.|The work of {A} takes {x} hours."],
    order: "any",
    ask: "How many minutes does {A} work?|For how many minutes does {A} work?",
    numbers: { x: small },
    steps: ["x * 60"],
    about: "time",
  },
  {
    name: "area",
    facts: [
      "A garden is {x} feet long.|The length of a garden is {x} feet.",
      "It is {y} feet wide.",
    ],
    order: "told",
    ask: "What is the area of the garden?|How many square feet is the garden?",
    numbers: { x: small, y: tiny },
    steps: ["x * y"],
  },
  {
    name: "share",
    facts: [
      "{A} has {x} {things}.",
      "{A} shares them equally among {y} friends.|{y} friends get the same number each.",
    ],
    order: "told",
    ask: "How many {things} does each friend get?|How many {things} is that per friend?",
    numbers: { x: round, y: tiny },
    steps: ["x / y"],
    about: "people",
  },
  {
    name: "pack",
    facts: ["{A} packs {x} {things} into {boxes}.", "Each {box} holds {y} {things}."],
    order: "any",
    ask: "How many {boxes} does {A} fill?|How many {boxes} are needed?",
    numbers: { x: round, y: tiny },
    steps: ["x / y"],
  },
  {
    name: "unit price",
    facts: ["{A} pays {x} dollars for {y} {things}.|{A} buys {y} {things} for {x} dollars."],
    order: "any",
    ask: "How many dollars does one {thing} cost?|What is the price of a {thing}?",
    numbers: { x: round, y: tiny },
    steps: ["x / y"],
  },
  {
    name: "speed",
    facts: ["{A} drives {x} miles.", "The drive takes {y} hours.|{A} drives for {y} hours."],
    order: "any",
    ask: "How many miles per hour does {A} drive?|What is the speed of {A} in miles per hour?",
    numbers: { x: round, y: tiny },
    steps: ["x / y"],
    about: "distance",
  },
  {
    name: "half",
    facts: ["{A} has {x} {things}.", "{A} gives half of them to {B}.|{B} gets half of them."],
    order: "told",
    ask: "How many {things} does {B} get?|How many {things} go to {B}?",
    numbers: { x: large },
    steps: ["x / 2"],
  },
  {
    name: "twice the other",
    facts: ["{A} has {x} {things}.", "{A} has twice as many {things} as {B}."],
    order: "told",
    ask: "How many {things} does {B} have?|What number of {things} does {B} have?",
    numbers: { x: large },
    steps: ["x / 2"],
  },
  {
    name: "weeks to save",
    facts: [
      "{A} wants a {good} for {x} dollars.|A {good} costs {x} dollars.",
      "{A} saves {y} dollars each week.",
    ],
    order: "any",
    ask: "After how many weeks can {A} buy the {good}?|How many weeks must {A} save?",
    numbers: { x: round, y: tiny },
    steps: ["x / y"],
    about: "time",
  },
  // ---- fractions and percentages ----
  {
    name: "a third is gone",
    facts: ["{A} has {x} {things}.", "{A} gives a third of them away.|{A} loses a third of them."],
    order: "told",
    ask: "How many {things} does {A} have left?|How many {things} remain?",
    numbers: { x: round },
    steps: ["x / 3", "x - #1"],
  },
  {
    name: "three quarters",
    facts: ["There are {x} {things} in a {box}.", "Three quarters of them are {colour}."],
    order: "told",
    ask: "How many {things} are {colour}?|How many {colour} {things} are in the {box}?",
    numbers: { x: round },
    steps: ["x / 4", "#1 * 3"],
  },
  {
    name: "percent",
    facts: ["{A} has {x} {things}.", "{y} percent of them are {colour}."],
    order: "told",
    ask: "How many {things} are {colour}?|How many {colour} {things} does {A} have?",
    numbers: { x: prices, y: percents },
    steps: ["x * y", "#1 / 100"],
  },
  {
    name: "tip",
    facts: [
      "{A} pays {x} dollars for a meal.|A meal costs {A} {x} dollars.",
      "The tip is {y} percent.|{A} adds a tip of {y} percent.",
    ],
    order: "told",
    ask: "How many dollars is the tip?|How much is the tip?",
    numbers: { x: prices, y: percents },
    steps: ["x * y", "#1 / 100"],
    cents: true,
  },
  {
    name: "sale",
    facts: [
      "A {good} costs {x} dollars.|The price of a {good} is {x} dollars.",
      "Today it is {y} percent off.|{A} gets {y} percent off.",
    ],
    order: "told",
    ask: "How many dollars does the {good} cost now?|What does {A} pay for the {good}?",
    numbers: { x: prices, y: percents },
    steps: ["x * y", "#1 / 100", "x - #2"],
    cents: true,
  },
  // ---- two steps ----
  {
    name: "three days",
    facts: [
      "{A} sold {x} {things} on Monday.",
      "{A} sold {y} {things} on Tuesday.",
      "{A} sold {z} {things} on Friday.",
    ],
    order: "any",
    ask: "How many {things} did {A} sell in all?|How many {things} were sold?",
    numbers: { x: small, y: small, z: small },
    steps: ["x + y", "#1 + z"],
  },
  {
    name: "two purchases",
    facts: ["{A} has {x} dollars.", "A {good} costs {y} dollars.", "A {thing} costs {z} dollars."],
    order: "any",
    ask:
      "How many dollars are left after {A} buys both?|" +
      "How much money does {A} have after buying both?",
    numbers: { x: large, y: small, z: tiny },
    steps: ["x - y", "#1 - z"],
  },
  {
    name: "bus",
    facts: [
      "There are {x} children on a bus.",
      "At the {place} {y} more get on.|Then {y} more get on.",
      "Then {z} get off.|Later {z} leave.",
    ],
    order: "told",
    ask: "How many children are on the bus now?|How many children stay on the bus?",
    numbers: { x: small, y: small, z: tiny },
    steps: ["x + y", "#1 - z"],
    about: "people",
  },
  {
    name: "groups and more",
    facts: [
      "{A} has {x} {boxes} of {things}.",
      "Each {box} holds {y} {things}.|There are {y} in each {box}.",
      "{A} finds {z} more {things}.|{B} gives {A} {z} more {things}.",
    ],
    order: "told",
    ask: "How many {things} does {A} have in all?|How many {things} are there now?",
    numbers: { x: tiny, y: small, z: small },
    steps: ["x * y", "#1 + z"],
  },
  {
    name: "groups and fewer",
    facts: [
      "{A} has {x} {boxes} of {things}.",
      "Each {box} holds {y} {things}.|There are {y} in each {box}.",
      "{A} gives {z} {things} to {B}.|{A} loses {z} {things}.",
    ],
    order: "told",
    ask: "How many {things} does {A} have left?|How many {things} are there now?",
    numbers: { x: tiny, y: small, z: small },
    steps: ["x * y", "#1 - z"],
  },
  {
    name: "boxes given away",
    facts: [
      "{A} has {x} {boxes}.",
      "{A} gives {y} {boxes} to {B}.|{A} loses {y} {boxes}.",
      "Each {box} holds {z} {things}.",
    ],
    order: "told",
    ask: "How many {things} does {A} have now?|How many {things} does {A} keep?",
    numbers: { x: small, y: tiny, z: tiny },
    steps: ["x - y", "#1 * z"],
  },
  {
    name: "give and share",
    facts: [
      "{A} has {x} {things}.",
      "{A} keeps {y} of them.|{A} loses {y} of them.",
      "{z} friends share the rest equally.|{A} shares the rest equally among {z} friends.",
    ],
    order: "told",
    ask: "How many {things} does each friend get?|How many {things} is that per friend?",
    numbers: { x: large, y: small, z: tiny },
    steps: ["x - y", "#1 / z"],
    about: "people",
  },
  {
    name: "join and share",
    facts: [
      "{A} has {x} {things}.",
      "{B} has {y} {things}.",
      "They put all into {z} {boxes} equally.|They fill {z} {boxes} equally.",
    ],
    order: "told",
    ask: "How many {things} are in each {box}?|How many {things} does a {box} hold?",
    numbers: { x: small, y: small, z: tiny },
    steps: ["x + y", "#1 / z"],
  },
  {
    name: "change",
    facts: [
      "{A} has {x} dollars.",
      "{A} buys {y} {things}.",
      "Each {thing} costs {z} dollars.|They cost {z} dollars each.",
    ],
    order: "told",
    ask: "How many dollars are left?|How much money does {A} have left?",
    numbers: { x: large, y: tiny, z: tiny },
    steps: ["y * z", "x - #1"],
  },
  {
    name: "wages",
    facts: [
      "{A} earns {x} dollars an hour.",
      "{A} works {y} hours.",
      "{B} pays {A} {z} dollars extra.|{A} also gets a bonus of {z} dollars.",
    ],
    order: "any",
    ask: "How many dollars does {A} get in all?|How much money does {A} earn?",
    numbers: { x: small, y: tiny, z: small },
    steps: ["x * y", "#1 + z"],
    about: "time",
  },
  {
    name: "twice and together",
    facts: ["{A} has {x} {things}.", "{B} has twice as many {things} as {A}."],
    order: "any",
    ask: "How many {things} do they have together?|How many {things} do {A} and {B} have in all?",
    numbers: { x: small },
    steps: ["x * 2", "#1 + x"],
  },
  {
    name: "more and together",
    facts: ["{A} has {x} {things}.", "{B} has {y} more {things} than {A}."],
    order: "any",
    ask: "How many {things} do they have together?|How many {things} do {A} and {B} have in all?",
    numbers: { x: small, y: small },
    steps: ["x + y", "#1 + x"],
  },
  {
    name: "fewer and together",
    facts: ["{A} has {x} {things}.", "{B} has {y} fewer {things} than {A}."],
    order: "any",
    ask: "How many {things} do they have together?|How many {things} do {A} and {B} have in all?",
    numbers: { x: large, y: small },
    steps: ["x - y", "#1 + x"],
  },
  {
    name: "tank",
    facts: [
      "A tank holds {x} gallons.|There are {x} gallons in a tank.",
      "It loses {y} gallons every hour.",
      "{z} hours pass.|This goes on for {z} hours.",
    ],
    order: "told",
    ask: "How many gallons are left?|How many gallons remain in the tank?",
    numbers: { x: large, y: tiny, z: tiny },
    steps: ["y * z", "x - #1"],
    about: "time",
  },
  {
    name: "save with a start",
    facts: [
      "A {good} costs {x} dollars.",
      "{A} has {y} dollars.",
      "{A} saves {z} dollars each week.",
    ],
    order: "any",
    ask: "After how many weeks can {A} buy the {good}?|How many weeks must {A} save?",
    numbers: { x: large, y: small, z: tiny },
    steps: ["x - y", "#1 / z"],
    about: "time",
  },
  {
    name: "average",
    facts: ["{A} has {x} {things}.", "{B} has {y} {things}."],
    order: "any",
    ask: "What is the average number of {things}?|How many {things} do they have on average?",
    numbers: { x: small, y: small },
    steps: ["x + y", "#1 / 2"],
    cents: true,
  },
  {
    name: "fence",
    facts: [
      "A garden is {x} feet long.|The length of a garden is {x} feet.",
      "It is {y} feet wide.",
    ],
    order: "told",
    ask: "How many feet of fence go around it?|What is the perimeter of the garden?",
    numbers: { x: small, y: tiny },
    steps: ["x + y", "#1 * 2"],
  },
  {
    name: "profit on many",
    facts: [
      "{A} buys {x} {things} for {y} dollars each.",
      "{A} sells each for {z} dollars.|Then {B} pays {z} dollars for each.",
    ],
    order: "told",
    ask: "How many dollars does {A} make?|What is the profit of {A}?",
    numbers: { x: tiny, y: tiny, z: small },
    steps: ["z - y", "#1 * x"],
  },
  {
    name: "two prices",
    facts: [
      "{A} buys {x} {things} for {y} dollars each.",
      "{A} also buys {z} {others} for {w} dollars each.",
    ],
    order: "told",
    ask: "How many dollars does {A} pay in all?|How much does {A} spend?",
    numbers: { x: tiny, y: tiny, z: tiny, w: tiny },
    steps: ["x * y", "z * w", "#1 + #2"],
  },
];
