// Several processes that do one thing together, the ranks: how they share it out and put it together again. Each has a number, from 0
// on. A process alone is rank 0 of 1: everything here then gives back what it got.
//
// All ranks run the same program, so whatever each of them decides from the same data needs no talking. They share out what takes
// time, and gather what came of it, in the order of the ranks: all of them then go on with the whole.
import { deserialize, serialize } from "node:v8";

/** The place of a process among those that do one thing together. */
export interface Place {
  readonly rank: number;
  /** `host:port` of every rank. */
  readonly hosts: readonly string[];
}

/** Sends bytes to all ranks; gives those of every rank, rank 0 first, when all have sent theirs. */
export type Exchange = (bytes: Uint8Array) => readonly Uint8Array[];

let place: Place = { rank: 0, hosts: [""] };
let exchange: Exchange = (bytes) => [bytes];

/** Makes this process one of several, which the engine has joined (engine/cluster.ts). */
export function becomeRank(own: Place, exchangeOf: Exchange): void {
  place = own;
  exchange = exchangeOf;
}

/** How many processes do one thing together. */
export function rankCount(): number {
  return place.hosts.length;
}

/** The machine of a rank. @param host with its port */
export function machineOf(host: string): string {
  return host.replace(/:\d+$/, "");
}

/** How many of the ranks are on this rank's machine, itself among them. */
export function rankCountOfMachine(): number {
  const own = machineOf(place.hosts[place.rank]!);
  return place.hosts.filter((host) => machineOf(host) === own).length;
}

/** Whether this is the process that writes files and speaks to the user. */
export function isLeader(): boolean {
  return place.rank === 0;
}

/**
 * This rank's share of items that all ranks know: neighbours stay together, and the shares are about as large as each other.
 *
 * @param sizeOf what an item weighs; all the same unless given
 */
export function shareOf<T>(items: readonly T[], sizeOf: (item: T) => number = () => 1): T[] {
  const count = rankCount();
  if (count === 1) return [...items];
  const total = items.reduce((sum, item) => sum + sizeOf(item), 0);
  let before = 0;
  return items.filter((item) => {
    const middle = before + sizeOf(item) / 2;
    before += sizeOf(item);
    return Math.min(count - 1, Math.floor((count * middle) / total)) === place.rank;
  });
}

/**
 * The items of all ranks, those of rank 0 first: plain data, arrays of numbers among it. Every rank has to call it, and waits here for
 * the slowest one.
 */
export function gather<T>(items: readonly T[]): T[] {
  if (rankCount() === 1) return [...items];
  return exchange(serialize(items)).flatMap((bytes) => deserialize(bytes) as T[]);
}

/** What rank 0 makes of something that it alone does; the others get a copy of it. */
export function fromLeader<T>(make: () => T): T {
  if (rankCount() === 1) return make();
  return gather(isLeader() ? [make()] : [])[0]!;
}

/** Whether it is so on any rank. */
export function onAnyRank(isSo: boolean): boolean {
  return gather([isSo]).some(Boolean);
}
