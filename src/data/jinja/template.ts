// Jinja templates, as transformers renders them, by @huggingface/jinja; what that library computes otherwise than Python is put
// right before a template runs, or refused.
import { Environment, Interpreter, parse, tokenize } from "@huggingface/jinja";
import { messageOf, UserError } from "../../errors.ts";
import { within } from "../timeLimit.ts";
import { defineFunctions } from "./python.ts";
import { correct, freeNames, type Node } from "./tree.ts";

/** What a template sees, by name. */
export type Variables = Readonly<Record<string, unknown>>;

export interface JinjaTemplate {
  readonly where: string;
  /** The source, with "\n" at the end of each line. */
  readonly source: string;
  /** Names that it reads and neither sets nor asks for with `is defined` or `default`. */
  readonly needs: ReadonlySet<string>;
  /** @throws UserError when the template raises an exception, or does what is not computed */
  render(variables: Variables): string;
}

/**
 * @param where the template's file, or what takes its place in messages
 * @param date the day that `strftime_now` tells, as 2024-07-26; without it the function is refused
 * @throws UserError when it is no template
 */
export function parseTemplate(
  source: string,
  where: string,
  date?: string | undefined,
): JinjaTemplate {
  const lines = source.replace(/\r\n?/g, "\n"); // as Jinja reads a source
  const failing = <T>(doing: string, run: () => T): T => {
    try {
      return run();
    } catch (error) {
      if (error instanceof UserError) throw new UserError(`${where}: ${oneLine(error.message)}`);
      throw new UserError(`${where}: ${doing}: ${oneLine(messageOf(error))}`, { cause: error });
    }
  };
  const program = failing("expected a Jinja template", () =>
    parse(tokenize(lines, { lstrip_blocks: true, trim_blocks: true })),
  );
  const needs = freeNames(program as unknown as Node);
  const corrected = failing("", () => correct(program) as typeof program);
  return {
    where,
    source: lines,
    needs,
    render: (variables) =>
      failing("the template cannot be rendered", () => {
        const environment = new Environment();
        for (const [name, value] of Object.entries({ ...constants, ...variables }))
          environment.set(name, value);
        defineFunctions(environment, date);
        const run = () => String(new Interpreter(environment).run(corrected).value);
        const rendered = within(timeoutMilliseconds, run);
        if (rendered !== undefined) return rendered.value;
        throw new UserError(
          "rendering the template took longer than a second; it may have loops within loops: use another one",
        );
      }),
  };
}

/** Templates of published models take a few milliseconds. */
const timeoutMilliseconds = 1000;

const oneLine = (text: string) => text.replace(/\s+/g, " ");

const constants = { true: true, True: true, false: false, False: false, none: null, None: null };
