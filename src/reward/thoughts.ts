// Tells what a model answers from what it thought before.

/** What ends thoughts for DeepSeek-R1 and Qwen3, for Magistral, and in well-known recipes of GRPO. */
const CLOSING = /<\/(?:think|thinking|thought|reasoning)>|\[\/THINK\]/;
const OPENED = /^\s*(?:<(?:think|thinking|thought|reasoning)>|\[THINK\])/;

/** What follows the last thoughts of a text; nothing where it begins with thoughts that never end. */
export function afterThoughts(text: string): string {
  const parts = text.split(CLOSING);
  return parts.length === 1 && OPENED.test(text) ? "" : parts.at(-1)!;
}
