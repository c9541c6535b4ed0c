import { setupAdvice } from "./setup.ts";

/**
 * A mistake that the user can repair: bad input, a wrong setting, a missing file, a full disk.
 * The message says what was expected, what was found, where, and what to do. It is printed without a stack, exit code 1.
 *
 * @hideconstructor
 */
export class UserError extends Error {
  override readonly name = "UserError";

  constructor(message: string, options?: ErrorOptions) {
    super(shortened(visible(message)), options); // here, since a program that called the library may print it, too
  }
}

/** A screen full of text; beyond that it is a file that speaks. The begin says where and what, the end what to do. */
const [longestBegin, longestEnd] = [3000, 900];

function shortened(message: string): string {
  const left = message.length - longestBegin - longestEnd;
  if (left <= 0) return message;
  const [begin, end] = [message.slice(0, longestBegin), message.slice(-longestEnd)];
  return `${begin} [... ${left} characters ...] ${end}`.toWellFormed();
}

/** Control characters but newline and tab, what is invisible or changes the direction of writing, and halves of characters. */
const unsafe = /(?![\n\t])[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

/** Writes what a terminal would not show as it is by its number: ESC is \u{1b}. Newlines and tabs stay. */
export function visible(text: string): string {
  return text.replace(unsafe, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`);
}

/** Narrows an unknown thrown value to the text that a user can read. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The first of many problems for a message, and how many more there are. */
export function firstOf(problems: readonly string[], separator: string, most = 20): string {
  const rest = problems.length > most ? [`and ${problems.length - most} more`] : [];
  return [...problems.slice(0, most), ...rest].join(separator);
}

/** A value out of a file or a reward, for a message: as JSON, but for numbers that JSON has not, cut short. */
export function show(value: unknown): string {
  const text = jsonOf(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** No text out of a file, or of what was typed, may look like a line of its own. */
export function inOneLine(text: string): string {
  return text.replaceAll("\n", "\\n");
}

/** A name out of a file may be long or hold control characters. */
export function quote(name: string): string {
  return JSON.stringify(name.length > 100 ? `${name.slice(0, 100)}...` : name);
}

/** What JSON would leave out or refuse, as JavaScript writes it. */
function unwritten(value: unknown): string | undefined {
  if (typeof value === "bigint") return `${value}n`;
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : undefined;
}

function jsonOf(value: unknown): string {
  const marked = (_: string, inner: unknown) => {
    const text = unwritten(inner);
    return text === undefined ? inner : `\0${text}`;
  };
  try {
    return JSON.stringify(value, marked)?.replace(/"\\u0000(-?\w+)"/g, "$1") ?? String(value);
  } catch {
    return "something nested too deep to show"; // RangeError: it is as deep as the stack
  }
}

/** Levels of lists and objects in each other. Nobody writes more, and more would exhaust the stack somewhere. */
const deepest = 128;

/** @throws UserError for a value out of a file that is nested deeper than anybody writes, or without end, as YAML's aliases can be */
export function checkDepth(value: unknown, where: string, level = 1): void {
  if (typeof value !== "object" || value === null) return;
  if (level > deepest) throw new UserError(`${where}: nested deeper than ${deepest} levels`);
  for (const inner of Object.values(value)) checkDepth(inner, where, level + 1);
}

const space = "free some space and try again";
const permission = "give another path, or the permission";
const fileInTheWay = "a file stands where a folder is expected; give another path";
const workingFolder = "the folder that this was called from was removed; change to another one";

/** What a file system refuses and a user can repair, with what to do. */
const repairs: Readonly<Record<string, string>> = {
  ENOSPC: space,
  EDQUOT: space,
  EACCES: permission,
  EPERM: permission,
  EROFS: "give a path that can be written",
  EEXIST: fileInTheWay,
  ENOTDIR: fileInTheWay,
  EISDIR: "a folder stands where a file is expected; give another path",
  ENOENT: "it is not there, or was removed meanwhile; check the path",
  ELOOP: "the links there lead in a circle; give another path",
  ENAMETOOLONG: "give a shorter path",
  EFBIG: "the file would be larger than the disk or a limit allows; give another path",
  EMFILE: "raise the limit of open files (ulimit -n)",
  ENFILE: "the whole system has too many files open; end what keeps them open",
  ENOMEM: "end what else needs memory and try again",
  EBUSY: "something else uses it; end that, or give another path",
  ESTALE: "its disk was taken away or changed meanwhile; try again",
  EIO: "the disk reports an error; give a path on another one",
};

/** What tfjs-node makes of TensorFlow's RESOURCE_EXHAUSTED, whose message names the tensor and the device. */
const outOfMemory = /^Invalid TF_Status: 8\s+Message: (.*)/;
const lessAtOnce =
  "set fewer slots (where responses are made) or a smaller microBatchTokens (where a model is trained), or end what else needs this memory";

/** What TensorFlow says of an operation that native/ has and the library that the set-up has built has not. */
const unknownOperation = /Op type not registered '(\w+)'|'(\w+)' is neither a type of a primitive/;

/**
 * Explains what went wrong as a mistake of the user, where it is one. What a file system refuses, and memory that is too small,
 * need not be caught where it happens: the message has the operation and the path or the tensor, and every command ends here.
 *
 * @returns undefined for a defect of the program
 */
export function asUserError(error: unknown): UserError | undefined {
  if (error instanceof UserError) return error;
  if (!(error instanceof Error)) return undefined;
  const refused = outOfMemory.exec(error.message)?.[1];
  if (refused !== undefined)
    return new UserError(`out of memory: ${refused}: ${lessAtOnce}`, { cause: error });
  const [, traced, called] = unknownOperation.exec(error.message) ?? [];
  const unknown = traced ?? called;
  if (unknown !== undefined)
    return new UserError(
      `TensorFlow knows no operation ${unknown}: what the set-up has built is older than the sources. ` +
        setupAdvice(),
      { cause: error },
    );
  if (!("code" in error)) return undefined;
  const isNoWorkingFolder = "syscall" in error && error.syscall === "uv_cwd";
  const repair = isNoWorkingFolder ? workingFolder : repairs[String(error.code)];
  if (repair === undefined) return undefined;
  return new UserError(`${error.message}: ${repair}`, { cause: error });
}

/** Whether this is an error of the system with that code, such as ENOENT. */
export function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}

/** Adds the path to the message of a failed write or read: Node names it only when a file is opened, made or moved. */
export function withPath<T>(path: string, access: () => T): T {
  try {
    return access();
  } catch (error) {
    if (error instanceof Error && "syscall" in error && !("path" in error))
      error.message += ` '${path}'`;
    throw error;
  }
}
