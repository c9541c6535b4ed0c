// What a file that grows block by block needs around it: one writer at a time, progress, Ctrl-C between blocks.
import { createProgress } from "../progress.ts";
import { onAnyRank } from "../ranks.ts";
import { InterruptedError, watchInterrupts } from "./interrupts.ts";
import { takeLockOnce } from "./lock.ts";

/**
 * Writes a file block by block, with progress.
 *
 * @param label stands before the progress
 * @param write calls its argument with the number of questions done, at the start and after each block
 * @throws UserError when another process writes the file; InterruptedError after Ctrl-C
 */
export async function growFile(
  label: string,
  output: string,
  questions: number,
  write: (onBlock: (done: number) => Promise<void>) => Promise<void>,
): Promise<void> {
  await using interrupts = watchInterrupts();
  const giveBack = takeLockOnce(`${output}.lock`);
  let progress: ReturnType<typeof createProgress> | undefined;
  const onBlock = async (done: number) => {
    progress ??= createProgress(label, questions, { start: done });
    progress.update(done);
    if (done < questions && onAnyRank(await interrupts.requested())) {
      throw new InterruptedError(
        `stopped after ${done} of ${questions} questions; the same command goes on from there`,
      );
    }
  };
  try {
    await write(onBlock);
  } finally {
    progress?.stop();
    giveBack();
  }
}
