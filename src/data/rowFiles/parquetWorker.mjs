// A process that reads one Parquet file and ends. Plain JavaScript, because Node starts it as it is.
import process from "node:process";
import { parquetMetadataAsync, parquetReadObjects, parquetSchema } from "hyparquet";
import { compressors } from "hyparquet-compressors";

/** The path of a column that its table, or a structure in it, has twice; of two such the reader would give the last. */
function columnTwice({ children }) {
  const names = new Set();
  const twice = children.find(({ element }) => names.size === names.add(element.name).size);
  if (twice) return twice.path.join(".");
  return children.map(columnTwice).find((path) => path !== undefined);
}

/** A date; where it says more than milliseconds, which are a date's, its text with all that it says. */
function dateOf(nanoseconds) {
  const beyond = ((nanoseconds % 1_000_000n) + 1_000_000n) % 1_000_000n; // before 1970, too, it counts upwards
  const date = new Date(Number((nanoseconds - beyond) / 1_000_000n));
  if (beyond === 0n || Number.isNaN(date.getTime())) return date;
  const digits = String(beyond).padStart(6, "0").replace(/0+$/, "");
  return date.toISOString().replace("Z", `${digits}Z`);
}

const parsers = {
  timestampFromMicroseconds: (microseconds) => dateOf(microseconds * 1000n),
  timestampFromNanoseconds: dateOf,
};

async function read(file) {
  const metadata = await parquetMetadataAsync(file);
  const twice = columnTwice(parquetSchema(metadata));
  if (twice !== undefined) return { twice };
  return {
    objects: await parquetReadObjects({ file, metadata, compressors, utf8: false, parsers }),
  };
}

process.once("message", async ({ buffer, byteOffset, byteLength }) => {
  const file = buffer.slice(byteOffset, byteOffset + byteLength);
  const answer = await read(file).catch((error) => ({ problem: String(error?.message ?? error) }));
  process.send(answer, () => process.disconnect());
});
process.send("begun");
