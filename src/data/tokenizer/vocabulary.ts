// The tokens of a model and their ids, which may have gaps.
import { show, UserError } from "../../errors.ts";

export interface Vocabulary {
  readonly idOf: ReadonlyMap<string, number>;
  readonly tokenOf: ReadonlyMap<number, string>;
}

/**
 * @param json an object of ids by token
 * @throws UserError if an id is no integer from 0, stands twice, or lies so high that most ids below it have no token
 */
export function readVocabulary(json: unknown, where: string): Vocabulary {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new UserError(`${where}: expected an object of ids by token, found ${show(json)}`);
  }
  return vocabularyOf(Object.entries(json), where);
}

export function vocabularyOf(entries: readonly [string, unknown][], where: string): Vocabulary {
  const idOf = new Map<string, number>();
  const tokenOf = new Map<number, string>();
  for (const [token, id] of entries) {
    if (!isId(id, entries.length)) {
      throw new UserError(
        `${where}: expected the id of ${show(token)} to be an integer from 0 to ${mostIds(entries.length)} ` +
          `(twice the number of tokens), found ${show(id)}`,
      );
    }
    const other = tokenOf.get(id);
    if (other !== undefined) {
      throw new UserError(`${where}: ${show(other)} and ${show(token)} have the same id ${id}`);
    }
    idOf.set(token, id);
    tokenOf.set(id, token);
  }
  return { idOf, tokenOf };
}

/** Vocabularies have gaps, where rows only pad the embedding, but never more gaps than tokens. */
function mostIds(tokens: number): number {
  return 2 * tokens;
}

function isId(id: unknown, tokens: number): id is number {
  return Number.isInteger(id) && (id as number) >= 0 && (id as number) <= mostIds(tokens);
}
