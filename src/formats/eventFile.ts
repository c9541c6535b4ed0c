// The file format of TensorBoard: records framed as in a TFRecord file, each an Event of a few protobuf fields.
// It is written here, because TensorFlow's own writer puts the machine's name into the file's, and buffers on a thread of its own.
// Reference: tensorflow/core/lib/io/record_writer.cc, tensorflow/core/util/event.proto, tensorflow/core/framework/summary.proto.

/** A figure, or a text in Markdown, under a name. */
export type SummaryValue =
  | { readonly tag: string; readonly figure: number }
  | { readonly tag: string; readonly text: string };

/** A point of a run: when, after which step, and what was seen. */
export interface SummaryEvent {
  /** Seconds since 1970. */
  readonly time: number;
  readonly step: number;
  readonly values: readonly SummaryValue[];
}

/** What a file begins with; all of a run that a reader has seen elsewhere is void with it. */
export function eventFileStart(time: number): Buffer {
  const version = message(double(1, time), bytes(3, "brain.Event:2"));
  const started = message(double(1, time), whole(2, 0), bytes(7, whole(1, SESSION_START)));
  return Buffer.concat([record(version), record(started)]);
}

/** One record. */
export function encodeEvent({ time, step, values }: SummaryEvent): Buffer {
  const summary = message(...values.map((value) => bytes(1, encodeValue(value))));
  return record(message(double(1, time), whole(2, step), bytes(5, summary)));
}

const SESSION_START = 1;
const DT_STRING = 7;
const DATA_CLASS_TENSOR = 2;

function encodeValue(value: SummaryValue): Buffer {
  if ("figure" in value) return message(bytes(1, value.tag), float(2, value.figure));
  const metadata = message(bytes(1, bytes(1, "text")), whole(4, DATA_CLASS_TENSOR));
  const scalarShape = Buffer.alloc(0);
  const tensor = message(whole(1, DT_STRING), bytes(2, scalarShape), bytes(8, value.text));
  return message(bytes(1, value.tag), bytes(8, tensor), bytes(9, metadata));
}

function record(data: Buffer): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(data.length));
  return Buffer.concat([length, maskedChecksum(length), data, maskedChecksum(data)]);
}

function message(...fields: readonly Buffer[]): Buffer {
  return Buffer.concat(fields);
}

// A field begins with its number and one of these kinds.
const VARINT = 0;
const FIXED64 = 1;
const LENGTH = 2;
const FIXED32 = 5;

function key(field: number, kind: number): Buffer {
  return varint((field << 3) | kind);
}

function whole(field: number, value: number): Buffer {
  return message(key(field, VARINT), varint(value));
}

function bytes(field: number, value: string | Buffer): Buffer {
  const content = Buffer.from(value);
  return message(key(field, LENGTH), varint(content.length), content);
}

function double(field: number, value: number): Buffer {
  const content = Buffer.alloc(8);
  content.writeDoubleLE(value);
  return message(key(field, FIXED64), content);
}

function float(field: number, value: number): Buffer {
  const content = Buffer.alloc(4);
  content.writeFloatLE(value);
  return message(key(field, FIXED32), content);
}

/** A whole number from 0, seven bits to a byte, the lowest first. */
function varint(value: number): Buffer {
  const digits: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) digits.push((rest % 128) | 128);
  return Buffer.from([...digits, rest]);
}

/** CRC-32C (Castagnoli), rotated and shifted, as it stands in the file. */
function maskedChecksum(data: Buffer): Buffer {
  let crc = 0xffffffff;
  for (const byte of data) crc = checksums[(crc ^ byte) & 255]! ^ (crc >>> 8);
  crc = ~crc >>> 0;
  const masked = Buffer.alloc(4);
  masked.writeUInt32LE((((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0);
  return masked;
}

const CASTAGNOLI = 0x82f63b78; // the polynomial, its bits reversed
const checksums = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? CASTAGNOLI : 0);
  return crc;
});
