// How gold chains of thought are judged: with the tokens that a model would have written, where the reward looks at them.
import type { Example } from "../data/examples.ts";
import { completionTokens } from "../data/prompt.ts";
import type { TemplatePrompt } from "../data/templatePrompt.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import type { LoadedRewards } from "../reward/openReward.ts";
import type { CheckGoldOptions } from "./checkGold.ts";

/** @param tokenizer none where no model is known */
export function goldOptions(
  tokenizer: Tokenizer | undefined,
  prompt: TemplatePrompt | undefined,
  { parts, isOwn }: LoadedRewards,
): CheckGoldOptions {
  const tokensOf =
    tokenizer && parts && ((row: Example) => completionTokens(tokenizer, row, row.cot!, prompt));
  return { tokensOf, isOwn };
}
