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

async function read(file) {
  const metadata = await parquetMetadataAsync(file);
  const twice = columnTwice(parquetSchema(metadata));
  if (twice !== undefined) return { twice };
  return { objects: await parquetReadObjects({ file, metadata, compressors, utf8: false }) };
}

process.once("message", async ({ buffer, byteOffset, byteLength }) => {
  const file = buffer.slice(byteOffset, byteOffset + byteLength);
  const answer = await read(file).catch((error) => ({ problem: String(error?.message ?? error) }));
  process.send(answer, () => process.disconnect());
});
process.send("begun");
