// Sentences whose number a question does not need.
import { programPrefix } from "../src/data/prompt.ts";
import type { Rng } from "../src/rng.ts";

const pronouns = new Set(
  "he she they it his her hers their theirs them him its i my we our us you your this that these those each other others another both all there".split(
    " ",
  ),
);
const functionWords = new Set(
  "a an the of in on at to for from with and or but by as is are was were be been has have had do does did will would can could if then than how many much what more less some any per no not now one two 's up out into after before when while so".split(
    " ",
  ),
);

const wordsOf = (text: string) => text.split(" ").filter((word) => /[a-z]/.test(word));
const contentOf = (text: string) =>
  wordsOf(text).filter((word) => !pronouns.has(word) && !functionWords.has(word));
const numbersOf = (text: string): string[] => text.match(/\d+(\.\d+)?/g) ?? [];
const refersBack = (sentence: string) => wordsOf(sentence).some((word) => pronouns.has(word));

/** Whether a question has a number that does not stand in its program below the docstring. */
export function hasUnneededNumber(question: string, program: string): boolean {
  const body = program.replace(programPrefix(question, "docstring"), "");
  const used = new Set(body.match(/(?<![\w.])\d+(\.\d+)?/g)?.map(Number));
  return numbersOf(question).some((number) => !used.has(Number(number)));
}

/** "a . b ? c" as "a .", "b ?", "c": a question in plain writing sets punctuation apart. */
function sentencesOf(question: string): string[] {
  return question.split(/(?<= [.?!]) /);
}

/**
 * The sentences that can stand in another question: statements with one number that is a whole word, of 4 to 16 words, that refer to
 * nothing before them.
 */
export function distractorsOf(questions: readonly string[]): string[] {
  const statements = questions.flatMap((question) => sentencesOf(question).slice(0, -1));
  return [...new Set(statements)].filter((sentence) => {
    const words = sentence.split(" ").length - 1;
    const isAlone = / \d+(\.\d+)? /.test(` ${sentence}`) && numbersOf(sentence).length === 1;
    return sentence.endsWith(" .") && words >= 4 && words <= 16 && isAlone && !refersBack(sentence);
  });
}

/**
 * The question with one sentence more, whose number it does not have and whose content words it does not share, so that the answer stays.
 * It stands at the beginning, or before a later sentence that refers to nothing before it.
 *
 * @returns undefined where no sentence fits within 50 draws
 */
export function addDistractor(
  question: string,
  distractors: readonly string[],
  rng: Rng,
): string | undefined {
  const content = new Set(contentOf(question));
  const numbers = new Set(numbersOf(question).map(Number));
  const sentences = sentencesOf(question);
  for (let draw = 0; draw < 50; draw++) {
    const sentence = distractors[rng.integer(distractors.length)]!;
    if (numbersOf(sentence).some((number) => numbers.has(Number(number)))) continue;
    if (contentOf(sentence).some((word) => content.has(word))) continue;
    const places = sentences.flatMap((next, i) => (i === 0 || !refersBack(next) ? [i] : []));
    return sentences.toSpliced(places[rng.integer(places.length)]!, 0, sentence).join(" ");
  }
  return undefined;
}
