// Who hears what a task says and how far it is, and who may stop it: the terminal of a command, or a program that called the library.
import { AsyncLocalStorage } from "node:async_hooks";

/** How far a task is. */
export interface ProgressReport {
  /** What is under way: "SFT", "evaluate". */
  readonly label: string;
  /** Steps, questions or answers that are done. */
  readonly done: number;
  /** Of so many. */
  readonly total: number;
  /** Short figures of the last step: `{ loss: "1.234" }`. */
  readonly figures: Readonly<Record<string, string | number>>;
}

/** What a caller of the library hears of a task. What is left out is not heard: a task then prints nothing. */
export interface Observer {
  /** What a command would say on standard error, warnings included. */
  readonly onMessage?: ((text: string) => void) | undefined;
  /** How far it is, after each step. */
  readonly onProgress?: ((progress: ProgressReport) => void) | undefined;
  /** What it begins to do, where that takes a while: "measuring 200 dev questions". */
  readonly onActivity?: ((activity: string) => void) | undefined;
  /** Stops the task between two steps, with a checkpoint or whole lines: it throws an InterruptedError. */
  readonly signal?: AbortSignal | undefined;
}

const observers = new AsyncLocalStorage<Observer>();

/** The observer of the task that is under way; undefined in a command, which has the terminal and Ctrl-C. */
export function observer(): Observer | undefined {
  return observers.getStore();
}

/** Runs a task that is heard by an observer alone: it prints nothing and listens to no signal of the process. */
export function observed<T>(by: Observer, task: () => T): T {
  return observers.run(by, task);
}
