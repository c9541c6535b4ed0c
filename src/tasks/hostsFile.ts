// The machines that one command runs on, as a file names them: a host a line. Every machine reads the same file, and finds itself there.
import { hostname, networkInterfaces } from "node:os";
import { show, UserError } from "../errors.ts";
import { hostPattern, isLoopback } from "../run/place.ts";

/** Where the first rank of a host listens if the file does not say so; the host's other ranks listen on the ports after it. */
const defaultPort = 7000;

/** A line of the file. */
interface Host {
  readonly name: string;
  readonly port: number;
}

/** The ranks of all machines. */
export interface Ranks {
  /** `host:port` of each. */
  readonly hosts: readonly string[];
  /** The first one of this machine: its others come after it. */
  readonly first: number;
}

/**
 * Shares ranks out to the machines of a hosts file, in its order: `processes` to each.
 *
 * @param file its name, for messages
 * @param host this machine's name in the file; undefined to find it by the machine's name and addresses
 * @throws UserError for a line that names no host, and where not exactly one host is this machine
 */
export function ranksOfHosts(
  text: string,
  file: string,
  processes: number,
  host: string | undefined,
): Ranks {
  const hosts = hostsIn(text, file, processes);
  const own = ownHost(hosts, file, host);
  return {
    hosts: hosts.flatMap(({ name, port }) =>
      Array.from({ length: processes }, (_, i) => `${name}:${port + i}`),
    ),
    first: hosts.indexOf(own) * processes,
  };
}

function hostsIn(text: string, file: string, processes: number): Host[] {
  const hosts: Host[] = [];
  text.split("\n").forEach((written, i) => {
    const line = written.replace(/#.*/, "").trim();
    if (line === "") return;
    const where = `${file}, line ${i + 1}`;
    const host = hostOf(line, where, processes);
    if (hosts.some(({ name }) => name === host.name))
      throw new UserError(
        `${where}: expected each host once, found ${show(host.name)} again; --processes says how many ranks each of them has`,
      );
    hosts.push(host);
  });
  if (hosts.length === 0) throw new UserError(`${file}: expected a host a line, found none`);
  return hosts;
}

function hostOf(line: string, where: string, processes: number): Host {
  const [, name, port = String(defaultPort)] =
    new RegExp(`^(${hostPattern.source})(?::(\\d{1,5}))?$`).exec(line) ?? [];
  if (name === undefined)
    throw new UserError(
      `${where}: expected a name or an address, and :port if the first is not ${defaultPort}, found ${show(line)}; an IPv6 address stands in brackets`,
    );
  const last = Number(port) + processes - 1;
  if (Number(port) < 1 || last > 65_535)
    throw new UserError(
      `${where}: expected ports from 1 to 65535, found ${port} to ${last} for ${processes} ranks`,
    );
  return { name, port: Number(port) };
}

function ownHost(hosts: readonly Host[], file: string, host: string | undefined): Host {
  const isOwn = host === undefined ? isThisMachine : (name: string) => name === host;
  const [own, ...others] = hosts.filter(({ name }) => isOwn(name));
  if (own !== undefined && others.length === 0) return own;
  const names = (of: readonly Host[]) => show(of.map(({ name }) => name).join(", "));
  if (host !== undefined)
    throw new UserError(`host: expected a host of ${file}, ${names(hosts)}, found ${show(host)}`);
  const self = show([hostname(), ...addresses()].join(", "));
  throw new UserError(
    own === undefined
      ? `${file}: expected this machine's name or one of its addresses, ${self}, found ${names(hosts)}; say by --host which of them it is`
      : `${file}: expected one host that is this machine, found ${names([own, ...others])}; say by --host which of them this is`,
  );
}

/** Whether a name or an address is this machine's, with or without its domain. */
function isThisMachine(name: string): boolean {
  const [one, other] = [name.toLowerCase(), hostname().toLowerCase()];
  if (one === other || one.startsWith(`${other}.`) || other.startsWith(`${one}.`)) return true;
  return isLoopback(one) || addresses().includes(one);
}

/** Addresses that others reach this machine by. */
function addresses(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter(({ internal }) => !internal)
    .map(({ address, family }) => (family === "IPv6" ? `[${address}]` : address));
}
