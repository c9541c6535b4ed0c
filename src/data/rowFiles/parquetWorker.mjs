// A process that reads one Parquet file and ends. Plain JavaScript, because Node starts it as it is.
import process from "node:process";
import { parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";

process.once("message", async ({ buffer, byteOffset, byteLength }) => {
  const file = buffer.slice(byteOffset, byteOffset + byteLength);
  const answer = await parquetReadObjects({ file, compressors, utf8: false }).then(
    (objects) => ({ objects }),
    (error) => ({ problem: String(error?.message ?? error) }),
  );
  process.send(answer, () => process.disconnect());
});
process.send("begun");
