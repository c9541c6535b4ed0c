// What a project's folder has besides its configurations: a README that says what to type, in its order, and a reward to begin with.
import type { ProjectTask } from "./initProject.ts";

const sources: Readonly<Record<ProjectTask, string>> = {
  generated: `npx reft prepare-data generated --cot python --train 500 --output data`,
  svamp: `npx reft prepare-data svamp --cot python --from downloads/svamp --output data`,
  gsm8k: `npx reft prepare-data gsm8k --cot python --from downloads/gsm8k --output data`,
  own: `npx reft prepare-data own --cot python --from mine.jsonl --output data # --column answer=result names a column, --cot text, json, ... another form`,
};

export function projectReadme(task: ProjectTask): string {
  return `# A project of reinforced fine-tuning

Each stage has one file here, with every setting and its meaning. The commands are typed in this folder; each goes on where it was stopped.

\`\`\`sh
${sources[task]}
npx reft check-data
npx train-sft    # warmup.yaml, into runs/warmup
npx train-reft   # reft.yaml, into runs/reft
npx reft evaluate
npx reft ask "Tom has 12 apples and buys 7 more. How many apples does he have?"
npx reft export
\`\`\`

A classifier that chooses among sampled answers:

\`\`\`sh
npx reft sample --data data/${task === "generated" ? "answers" : "train"}.jsonl --questions 1000 --samples 8 --output samples/train.jsonl
npx reft sample --data data/dev.jsonl --samples 8 --output samples/dev.jsonl
npx train-rerank # rerank.yaml, into runs/rerank
npx reft evaluate --samples 20 --reranker runs/rerank
\`\`\`

[rewards/mine.ts](rewards/mine.ts) is a reward of your own to begin with, in place of the comparison with the gold answer:

\`\`\`sh
npx reft evaluate --reward rewards/mine.ts --output results/mine
npx train-reft --set reward=rewards/mine.ts --set ppo.partialReward=0 --output runs/mine
\`\`\`

Or all of it, with a control and one table: \`npx reft run\` (recipe.yaml).
`;
}

export const projectReward = `// Says what an answer is worth. \`reward: rewards/mine.ts\` in a configuration takes it, with \`partialReward: 0\` in reft.yaml.
import { answersEqual, defineReward } from "reft";

export default defineReward(({ outcome, gold, tokens }) => {
  const correct = outcome.kind === "answer" && answersEqual(outcome.value, gold); // as numbers or choices
  return {
    score: correct ? 1 : 0,
    correct, // counts in accuracies
    logs: { tokens: tokens.length }, // becomes the metric reward/tokens
  };
});
`;
