// A command that several processes run together (docs/distributed.md): which of them this one is, by its environment, and what it means
// for it when another one fails.
import { join, type LostRank, lostRank, type Patience, reportToRanks } from "../engine/cluster.ts";
import { asUserError, messageOf, show, UserError } from "../errors.ts";
import { observed } from "../observer.ts";
import { gather, isLeader, machineOf, type Place } from "../ranks.ts";
import { say } from "../terminal.ts";
import { endUnwatched, InterruptedError } from "./interrupts.ts";
import { type Environment, isLoopback, placeIn } from "./place.ts";

/**
 * Runs what all ranks do together, after they have found each other; alone, runs it. Rank 0 speaks to the user; the others say nothing
 * but why they fail.
 *
 * @throws UserError also for what another rank could not do, and for a rank that is gone
 */
export async function amongRanks<T>(work: () => Promise<T>): Promise<T> {
  const place = placeIn(process.env);
  if (place === undefined || place.hosts.length === 1) return work();
  const patience = patienceIn(process.env);
  joinRanks(place, patience);
  try {
    return await together(isLeader() ? work : () => observed({ signal: signalOfProcess() }, work));
  } catch (error) {
    throw endOfRank(error, place, patience);
  }
}

/** Nobody leaves before all have done what they do together, or have stopped. */
async function together<T>(work: () => Promise<T>): Promise<T> {
  try {
    const result = await work();
    gather([]);
    return result;
  } catch (error) {
    if (error instanceof InterruptedError) gather([]);
    throw error;
  }
}

function joinRanks(place: Place, patience: Patience): void {
  const { rank, hosts } = place;
  if (rank === 0 && !hosts.every((host) => isLoopback(machineOf(host))))
    say(
      "note: every rank takes commands from whoever reaches its port, without asking who it is: use a trusted network (docs/distributed.md)",
    );
  try {
    join(place, patience);
  } catch (error) {
    throw new UserError(describeJoining(messageOf(error), place, patience), { cause: error });
  }
  endUnwatched(); // TensorFlow has taken SIGTERM
  // `reft launch` was killed, now or before anybody listened.
  const stop = () => process.kill(process.pid, "SIGTERM");
  if (process.connected === false) stop();
  process.once("disconnect", stop);
  process.channel?.unref();
}

/** Aborted by the first signal that asks this process to stop; the second one ends it. */
function signalOfProcess(): AbortSignal {
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"])
    process.on(signal, () => (stop.signal.aborted ? process.exit(1) : stop.abort()));
  return stop.signal;
}

function describeJoining(message: string, { rank, hosts }: Place, { joinSeconds }: Patience) {
  if (/Could not start gRPC server|Address already in use/.test(message))
    return `rank ${rank}: expected the port of ${hosts[rank]} to be free, found it in use; give another one`;
  const reached = /reached the barrier: (\d+)\/\d+/.exec(message)?.[1];
  const found = reached === undefined ? "" : `, found ${reached}`;
  return (
    `rank ${rank}: expected ${hosts.length} ranks within ${joinSeconds} seconds (REFT_JOIN_SECONDS)${found}; ` +
    `look whether all were started and reach ${hosts[0]}${found === "" ? ` (${message.split("\n")[0]})` : ""}`
  );
}

/** What a rank ends with; what is its own fault is told to the others. */
function endOfRank(error: unknown, place: Place, patience: Patience): unknown {
  const lost = lostRank(error);
  if (lost !== undefined)
    return new UserError(describeLoss(lost, place, patience), { cause: error });
  if (error instanceof InterruptedError) return error; // as they all do
  try {
    reportToRanks(
      `rank ${place.rank}: ${(asUserError(error) ?? new Error(messageOf(error))).message}`,
    );
  } catch {
    // Nobody is there any more to hear it.
  }
  return error;
}

function describeLoss({ rank, why, message }: LostRank, { hosts }: Place, patience: Patience) {
  const who = rank === undefined ? "another rank" : `rank ${rank} (${hosts[rank]})`;
  const what = {
    gone: `${who} is gone; its own message, or the system's log of it, says why`,
    silent: `${who} has given no sign of life for ${patience.heartbeatSeconds} seconds (REFT_HEARTBEAT_SECONDS)`,
    reported: message,
  };
  return `${what[why]}. All ranks end; the same command goes on from the last checkpoint`;
}

function patienceIn({ REFT_JOIN_SECONDS, REFT_HEARTBEAT_SECONDS }: Environment): Patience {
  return {
    joinSeconds: secondsOf("REFT_JOIN_SECONDS", REFT_JOIN_SECONDS ?? "300"),
    heartbeatSeconds: secondsOf("REFT_HEARTBEAT_SECONDS", REFT_HEARTBEAT_SECONDS ?? "30"),
  };
}

function secondsOf(name: string, text: string): number {
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
  throw new UserError(`${name}: expected seconds, a whole number from 1 on, found ${show(text)}`);
}
