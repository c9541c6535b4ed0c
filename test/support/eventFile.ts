// Reads TensorBoard's event files as their specification has them, and independently of what writes them. A record that is cut off
// ends the file, as it does for TensorBoard.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface ReadEvent {
  readonly time: number;
  readonly step: number;
  readonly version?: string;
  readonly isStart: boolean;
  readonly figures: Readonly<Record<string, number>>;
  readonly texts: Readonly<Record<string, string>>;
}

/** The events of the one file of a run. */
export function readBoard(runFolder: string): ReadEvent[] {
  const folder = join(runFolder, "tensorboard");
  const names = readdirSync(folder);
  if (names.length !== 1) throw new Error(`expected one file, found ${names}`);
  return readEvents(readFileSync(join(folder, names[0]!)));
}

export function readEvents(file: Buffer): ReadEvent[] {
  const events: ReadEvent[] = [];
  for (let at = 0; at + 12 <= file.length; ) {
    const length = Number(file.readBigUInt64LE(at));
    const end = at + 12 + length;
    if (end + 4 > file.length) break;
    const data = file.subarray(at + 12, end);
    if (file.readUInt32LE(at + 8) !== masked(crc32c(file.subarray(at, at + 8))))
      throw new Error(`the checksum of the length at ${at} is wrong`);
    if (file.readUInt32LE(end) !== masked(crc32c(data)))
      throw new Error(`the checksum of the record at ${at} is wrong`);
    events.push(eventOf(data));
    at = end + 4;
  }
  return events;
}

/** Bit by bit, without a table. */
export function crc32c(data: Uint8Array): number {
  let crc = ~0;
  for (const byte of data)
    for (let bit = 0; bit < 8; bit++)
      crc = ((crc ^ (byte >> bit)) & 1 ? 0x82f63b78 : 0) ^ (crc >>> 1);
  return ~crc >>> 0;
}

function masked(crc: number): number {
  return Number(((BigInt(crc) >> 15n) + (BigInt(crc) << 17n) + 0xa282ead8n) & 0xffffffffn);
}

type Field = number | Buffer;

/** A message's fields by number: numbers of any kind, and bytes. */
function fieldsOf(data: Buffer): Map<number, Field[]> {
  const fields = new Map<number, Field[]>();
  let at = 0;
  const varint = () => {
    let [value, scale] = [0, 1];
    for (; data[at]! >= 128; scale *= 128) value += (data[at++]! - 128) * scale;
    return value + data[at++]! * scale;
  };
  const take = (length: number) => {
    at += length;
    return data.subarray(at - length, at);
  };
  const readers: Readonly<Record<number, () => Field>> = {
    0: varint,
    1: () => take(8).readDoubleLE(),
    2: () => take(varint()),
    5: () => take(4).readFloatLE(),
  };
  while (at < data.length) {
    const key = varint();
    const value = readers[key & 7]!();
    fields.set(key >> 3, [...(fields.get(key >> 3) ?? []), value]);
  }
  return fields;
}

function eventOf(data: Buffer): ReadEvent {
  const event = fieldsOf(data);
  const [time, step = 0] = [event.get(1)![0] as number, event.get(2)?.[0] as number | undefined];
  const version = event.get(3)?.[0]?.toString();
  const [session] = (event.get(7) as Buffer[] | undefined) ?? [];
  const isStart = session !== undefined && fieldsOf(session).get(1)![0] === 1;
  const [summary] = (event.get(5) as Buffer[] | undefined) ?? [];
  const values = summary ? (fieldsOf(summary).get(1) as Buffer[]).map(fieldsOf) : [];
  const [figures, texts]: [Record<string, number>, Record<string, string>] = [{}, {}];
  for (const value of values) {
    const tag = value.get(1)![0]!.toString();
    if (value.has(2)) figures[tag] = value.get(2)![0] as number;
    else
      texts[tag] = fieldsOf(value.get(8)![0] as Buffer)
        .get(8)![0]!
        .toString();
  }
  return { time, step, ...(version && { version }), isStart, figures, texts };
}
